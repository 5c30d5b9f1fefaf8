#include "dataplane/dpdk/nic_rule.h"

#include <cstring>
#include <numeric>

#include <rte_ethdev.h>

namespace lb::dpdk {
namespace {

const char* name_of(NicRuleKind kind) {
  switch (kind) {
    case NicRuleKind::kIpv4:
      return "IPv4";
    case NicRuleKind::kTcp6:
      return "TCP over IPv6";
    case NicRuleKind::kUdp6:
      return "UDP over IPv6";
    case NicRuleKind::kIcmpErrors6:
      return "ICMPv6 errors";
    case NicRuleKind::kEcho6:
      return "ICMPv6 echo";
    case NicRuleKind::kFragments6:
      return "IPv6 fragments";
  }
  return "";
}

// By what a flow is known; else by addresses, like fragments, whose ports only the first one has.
uint64_t rss_types(NicRuleKind kind) {
  switch (kind) {
    case NicRuleKind::kIpv4:
      return RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
    case NicRuleKind::kTcp6:
      return RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP;
    case NicRuleKind::kUdp6:
      return RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP;
    default:
      return RTE_ETH_RSS_IP;
  }
}

}  // namespace

bool is_needed(NicRuleKind kind) {
  return kind == NicRuleKind::kIpv4 || kind == NicRuleKind::kTcp6 || kind == NicRuleKind::kUdp6;
}

bool is_of(NicRuleKind kind, net::Family family) {
  return (kind == NicRuleKind::kIpv4) == (family == net::Family::kIpv4);
}

std::string NicRule::what() const {
  return std::string(name_of(kind)) + (tagged ? " behind a VLAN tag" : "");
}

NicRulePattern::NicRulePattern(const NicRule& rule, const net::Mac& mac) {
  memcpy(eth_.hdr.dst_addr.addr_bytes, mac.bytes.data(), mac.bytes.size());
  memset(eth_mask_.hdr.dst_addr.addr_bytes, 0xff, mac.bytes.size());
  add(RTE_FLOW_ITEM_TYPE_ETH, &eth_, &eth_mask_);
  // Where no tag is spoken of, tc matches frames without one only, and mlx5 according to its steering engine.
  if (rule.tagged) add(RTE_FLOW_ITEM_TYPE_VLAN);
  if (rule.kind == NicRuleKind::kIpv4)
    add_ipv4(rule.address);
  else
    add_ipv6(rule.address, rule.kind == NicRuleKind::kFragments6);
  if (rule.kind == NicRuleKind::kTcp6) add(RTE_FLOW_ITEM_TYPE_TCP);
  if (rule.kind == NicRuleKind::kUdp6) add(RTE_FLOW_ITEM_TYPE_UDP);
  if (rule.kind == NicRuleKind::kIcmpErrors6) add_icmp6(0, 0x80);
  if (rule.kind == NicRuleKind::kEcho6) add_icmp6(128, 0xfe);
  items_[count_].type = RTE_FLOW_ITEM_TYPE_END;
}

void NicRulePattern::add(rte_flow_item_type type, const void* spec, const void* mask) {
  items_[count_++] = {.type = type, .spec = spec, .last = nullptr, .mask = mask};
}

void NicRulePattern::add_ipv4(const net::Address& address) {
  memcpy(&ipv4_.hdr.dst_addr, address.ipv4_bytes(), 4);
  ipv4_mask_.hdr.dst_addr = 0xffffffff;
  add(RTE_FLOW_ITEM_TYPE_IPV4, &ipv4_, &ipv4_mask_);
}

void NicRulePattern::add_ipv6(const net::Address& address, bool fragment) {
  memcpy(ipv6_.hdr.dst_addr, address.bytes().data(), 16);
  memset(ipv6_mask_.hdr.dst_addr, 0xff, 16);
  ipv6_.has_frag_ext = ipv6_mask_.has_frag_ext = fragment ? 1 : 0;
  add(RTE_FLOW_ITEM_TYPE_IPV6, &ipv6_, &ipv6_mask_);
}

void NicRulePattern::add_icmp6(uint8_t type, uint8_t mask) {
  icmp6_.type = type;
  icmp6_mask_.type = mask;
  add(RTE_FLOW_ITEM_TYPE_ICMP6, &icmp6_, &icmp6_mask_);
}

NicRuleAction::NicRuleAction(NicRuleKind kind, uint16_t queues, std::span<const uint8_t> key) : queues_(queues) {
  std::iota(queues_.begin(), queues_.end(), uint16_t{0});
  rss_ = {.func = RTE_ETH_HASH_FUNCTION_DEFAULT,
          .level = 0,
          .types = rss_types(kind),
          .key_len = static_cast<uint32_t>(key.size()),
          .queue_num = queues,
          .key = key.data(),
          .queue = queues_.data()};
  if (queues > 1)
    actions_[0] = {.type = RTE_FLOW_ACTION_TYPE_RSS, .conf = &rss_};
  else
    actions_[0] = {.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &one_};
  actions_[1].type = RTE_FLOW_ACTION_TYPE_END;
}

}  // namespace lb::dpdk
