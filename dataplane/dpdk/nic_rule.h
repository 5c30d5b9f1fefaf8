// One rule of a NIC that lbd shares with the kernel (a bifurcated one): which frames are lbd's, in the words of
// rte_flow. A rule is of the port's MAC, untagged or behind one VLAN tag of any number, and one owned address. What no
// rule matches stays with the kernel. There is no rule for "all but", so that IPv6 is told by what is above it:
// neighbour discovery and MLD are left out. All addresses of one kind and tag make rules of the same masks.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <rte_flow.h>

#include "dataplane/net/address.h"

namespace lb::dpdk {

enum class NicRuleKind : uint8_t {
  kIpv4,         // all of it, fragments too
  kTcp6,         // over IPv6, as the next three
  kUdp6,         //
  kIcmpErrors6,  // ICMPv6 0-127
  kEcho6,        // ICMPv6 128 and 129
  kFragments6,   // IPv6 with a fragment header, which lbd counts and drops; the kernel would answer for some
};
inline constexpr std::array kNicRuleKinds = {NicRuleKind::kIpv4,        NicRuleKind::kTcp6,  NicRuleKind::kUdp6,
                                             NicRuleKind::kIcmpErrors6, NicRuleKind::kEcho6, NicRuleKind::kFragments6};
// What a service is made of: a NIC that cannot tell these apart is no port.
bool is_needed(NicRuleKind kind);
bool is_of(NicRuleKind kind, net::Family family);

struct NicRule {
  net::Address address;
  NicRuleKind kind = NicRuleKind::kIpv4;
  bool tagged = false;
  friend auto operator<=>(const NicRule&, const NicRule&) = default;
  std::string what() const;  // "ICMPv6 errors behind a VLAN tag", without the address
};

// Points into itself.
class NicRulePattern {
 public:
  NicRulePattern(const NicRule& rule, const net::Mac& mac);
  NicRulePattern(const NicRulePattern&) = delete;
  NicRulePattern& operator=(const NicRulePattern&) = delete;
  const rte_flow_item* items() const noexcept { return items_.data(); }  // RTE_FLOW_ITEM_TYPE_END is the last

 private:
  void add(rte_flow_item_type type, const void* spec = nullptr, const void* mask = nullptr);
  void add_ipv4(const net::Address& address);
  void add_ipv6(const net::Address& address, bool fragment);
  void add_icmp6(uint8_t type, uint8_t mask);

  rte_flow_item_eth eth_ = {}, eth_mask_ = {};
  rte_flow_item_ipv4 ipv4_ = {}, ipv4_mask_ = {};
  rte_flow_item_ipv6 ipv6_ = {}, ipv6_mask_ = {};
  rte_flow_item_icmp6 icmp6_ = {}, icmp6_mask_ = {};
  std::array<rte_flow_item, 5> items_ = {};
  size_t count_ = 0;
};

// Where what a rule matches goes: one queue, or RSS over several. Points into itself and into queues and key.
class NicRuleAction {
 public:
  // queues: 0 to queues - 1. key: as many bytes as the device takes.
  NicRuleAction(NicRuleKind kind, uint16_t queues, std::span<const uint8_t> key);
  NicRuleAction(const NicRuleAction&) = delete;
  NicRuleAction& operator=(const NicRuleAction&) = delete;
  const rte_flow_action* actions() const noexcept { return actions_.data(); }

 private:
  std::vector<uint16_t> queues_;
  rte_flow_action_queue one_ = {};
  rte_flow_action_rss rss_ = {};
  std::array<rte_flow_action, 2> actions_ = {};
};

}  // namespace lb::dpdk
