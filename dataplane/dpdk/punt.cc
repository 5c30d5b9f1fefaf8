#include "dataplane/dpdk/punt.h"

#include <atomic>
#include <cstddef>
#include <string>

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_ring.h>

#include "dataplane/net/headers.h"

namespace lb::dpdk {
namespace {

using stages::Slot;

constexpr uint32_t kMaxTags = 2;
constexpr uint16_t kSlowProtocols = 0x8809, kLldp = 0x88cc;            // LACP: IEEE 802.3 annex 57A; IEEE 802.1AB
constexpr uint8_t kOspf = 89, kVrrp = 112;                             // CARP uses VRRP's
constexpr uint16_t kBgp = 179;                                         // RFC 4271
constexpr uint16_t kBfd = 3784, kBfdEcho = 3785, kBfdMultihop = 4784;  // RFC 5881, RFC 5883
constexpr uint8_t kFromTheLink = 255;                                  // RFC 5082: no router has decremented it
constexpr uint8_t kRouterSolicitation = 133, kRedirect = 137;          // RFC 4861, the five of them
constexpr uint8_t kMldFirst = 130, kMldLast = 132, kMldReport = 143;   // RFC 2710, RFC 3810

// l4: of the first fragment, bytes of it.
PuntClass class_of_l4(uint8_t proto, uint8_t ttl, const uint8_t* l4, ptrdiff_t bytes) noexcept {
  if (proto == kOspf || proto == kVrrp) return PuntClass::kRouting;
  if (bytes < 4) return PuntClass::kOther;
  const uint16_t source = lb_load_be16(l4), destination = lb_load_be16(l4 + 2);
  if (proto == LB_PROTO_TCP && (source == kBgp || destination == kBgp)) return PuntClass::kRouting;
  if (proto != LB_PROTO_UDP) return PuntClass::kOther;
  if (destination == kBfdMultihop) return PuntClass::kRouting;
  if (destination != kBfd && destination != kBfdEcho) return PuntClass::kOther;
  return ttl == kFromTheLink ? PuntClass::kLink : PuntClass::kRouting;
}

PuntClass class_of_ipv4(const uint8_t* ip, const uint8_t* end) noexcept {
  if (end - ip < static_cast<ptrdiff_t>(sizeof(lb_ipv4))) return PuntClass::kOther;
  const ptrdiff_t header = (ip[0] & 15) * 4;
  const bool has_l4 = (lb_load_be16(ip + offsetof(lb_ipv4, frag)) & LB_IPV4_OFFSET) == 0 && end - ip >= header;
  return class_of_l4(ip[offsetof(lb_ipv4, proto)], ip[offsetof(lb_ipv4, ttl)], ip + header,
                     has_l4 ? end - ip - header : 0);
}

// MLD stands behind a hop-by-hop header.
PuntClass class_of_ipv6(const uint8_t* ip, const uint8_t* end) noexcept {
  if (end - ip < static_cast<ptrdiff_t>(sizeof(lb_ipv6) + 8)) return PuntClass::kOther;
  uint8_t next = ip[offsetof(lb_ipv6, next)];
  const uint8_t ttl = ip[offsetof(lb_ipv6, hop_limit)];
  const uint8_t* l4 = ip + sizeof(lb_ipv6);
  if (next == LB_PROTO_HOPOPTS) {
    next = l4[0];
    l4 += (l4[1] + 1) * 8;
  }
  if (next != LB_PROTO_ICMPV6) return class_of_l4(next, ttl, l4, end - l4);
  if (end - l4 < 1) return PuntClass::kOther;
  const uint8_t type = l4[0];
  const bool discovery = type >= kRouterSolicitation && type <= kRedirect && ttl == kFromTheLink;
  const bool listeners = ((type >= kMldFirst && type <= kMldLast) || type == kMldReport) && ttl == 1;
  return discovery || listeners ? PuntClass::kLink : PuntClass::kOther;
}

// 01:80:c2:00:00:0x: no bridge forwards it.
bool is_link_local_group(const uint8_t* mac) noexcept {
  return mac[0] == 0x01 && mac[1] == 0x80 && mac[2] == 0xc2 && mac[3] == 0 && mac[4] == 0 && mac[5] < 0x10;
}

}  // namespace

net::Result<Ring> make_punt_ring(uint32_t size) {
  static std::atomic<uint32_t> rings = 0;  // names of rings are the process's
  const std::string name = fmt::format("lbd_punt_{}", rings++);
  Ring ring(rte_ring_create(name.c_str(), size, static_cast<int>(rte_socket_id()), RING_F_MP_RTS_ENQ | RING_F_SC_DEQ));
  if (!ring)
    return net::Error{net::Code::kUnavailable,
                      fmt::format("no memory for a ring of {} punted packets: {}", size, rte_strerror(rte_errno))};
  (void)rte_ring_set_prod_htd_max(ring.get(), rte_ring_get_capacity(ring.get()));  // else: an eighth of it
  return ring;
}

PuntClass punt_class(const uint8_t* frame, uint32_t length) noexcept {
  if (length < sizeof(lb_eth)) return PuntClass::kOther;
  const uint8_t* end = frame + length;
  const uint8_t* next = frame + sizeof(lb_eth);
  uint16_t type = lb_load_be16(next - 2);
  if (is_link_local_group(frame)) return PuntClass::kLink;
  for (uint32_t tags = 0; tags < kMaxTags && (type == LB_ETH_VLAN || type == LB_ETH_QINQ); tags++) {
    if (end - next < static_cast<ptrdiff_t>(sizeof(lb_vlan))) return PuntClass::kOther;
    next += sizeof(lb_vlan);
    type = lb_load_be16(next - 2);
  }
  switch (type) {
    case LB_ETH_ARP:
    case kSlowProtocols:
    case kLldp:
      return PuntClass::kLink;
    case LB_ETH_IPV4:
      return class_of_ipv4(next, end);
    case LB_ETH_IPV6:
      return class_of_ipv6(next, end);
    default:
      return PuntClass::kOther;
  }
}

uint64_t hand_up(const PuntRings& to, const Burst& burst, uint32_t n, stages::Batch& b) noexcept {
  const uint64_t punted = b.slots_with(stages::Verdict::kPunt, n);
  uint64_t taken = 0;
  for (const Slot i : stages::Bits(punted)) {
    rte_ring* ring = to.ring[static_cast<size_t>(punt_class(b.data[i], b.length[i]))];
    if (rte_ring_enqueue(ring, burst[i]) == 0)
      taken |= 1ull << i;
    else
      b.drop(i, LB_DROP_ExceptionFull);
  }
  return taken;
}

}  // namespace lb::dpdk
