#include "dataplane/stages/parse.h"

#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/net/hash.h"
#include "dataplane/net/headers.h"
#include "dataplane/net/rules.h"

namespace lb::stages {
namespace {

using model::Snapshot;

constexpr Drop kFine = static_cast<Drop>(0);  // counter 0 is no drop
static_assert(LB_DROP_FIRST > 0);
constexpr uint32_t kNotOwned = UINT32_MAX;
constexpr uint8_t kEcho4 = 8, kEcho6 = 128;  // RFC 792, RFC 4443 section 4.1
constexpr uint32_t kMaxExtensions = 8;
constexpr uint32_t kMaxExtensionBytes = 256;
constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <class Header>
const Header* header_at(const uint8_t* frame, uint32_t offset) noexcept {
  return reinterpret_cast<const Header*>(frame + offset);
}
uint16_t load_be16(const uint8_t* p) noexcept {
  return static_cast<uint16_t>(p[0] << 8 | p[1]);
}
bool is_mapped(const lb_addr& a) noexcept {
  return lb_is_mapped(lb_load64(a.b), lb_load64(a.b + 8)) != 0;
}
bool same(const lb_addr& a, const lb_addr& b) noexcept {
  return std::memcmp(&a, &b, sizeof a) == 0;
}
void set_mapped(lb_addr& a, const uint8_t ipv4[4]) noexcept {
  std::memcpy(a.b, kMappedPrefix, 12);
  std::memcpy(a.b + 12, ipv4, 4);
}

// Ethernet, tags and the two addresses. False: not a frame that could be ours.
bool read_addresses(const Batch& b, Slot i, Meta& m) noexcept {
  const uint8_t* frame = b.data[i];
  const uint32_t length = b.length[i];
  if (length < sizeof(lb_eth) || std::memcmp(frame, b.port_mac.data(), 6) != 0) return false;
  uint32_t at = sizeof(lb_eth);
  uint16_t type = load_be16(frame + at - 2);
  for (uint32_t tags = 0; (type == LB_ETH_VLAN || type == LB_ETH_QINQ) && tags < LB_MAX_TAGS; tags++) {
    at += sizeof(lb_vlan);
    if (at > length) return false;
    type = load_be16(frame + at - 2);
  }
  m.l3 = static_cast<uint16_t>(at);
  if (type == LB_ETH_IPV4 && length >= at + sizeof(lb_ipv4)) {
    m.family = 4;
    set_mapped(m.src, header_at<lb_ipv4>(frame, at)->src);
    set_mapped(m.dst, header_at<lb_ipv4>(frame, at)->dst);
    return true;
  }
  if (type == LB_ETH_IPV6 && length >= at + sizeof(lb_ipv6)) {
    m.family = 6;
    std::memcpy(m.src.b, header_at<lb_ipv6>(frame, at)->src, 16);
    std::memcpy(m.dst.b, header_at<lb_ipv6>(frame, at)->dst, 16);
    return !is_mapped(m.dst);  // ::ffff:192.0.2.1 on the wire is not 192.0.2.1
  }
  return false;
}

// Index into Snapshot::addresses, kNotOwned when there is none. REQUIRES: the table is not empty.
uint32_t find_address(const Snapshot& s, const lb_addr& a, uint32_t hash) noexcept {
  const auto mask = static_cast<uint32_t>(s.addresses.size() - 1);
  for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
    const uint32_t at = (hash + probe) & mask;
    if (s.addresses[at].flags == 0) return kNotOwned;
    if (same(s.addresses[at].addr, a)) return at;
  }
  return kNotOwned;
}

Drop parse_ipv4(const uint8_t* frame, uint32_t length, Meta& m) noexcept {
  const auto* h = header_at<lb_ipv4>(frame, m.l3);
  const uint32_t header = (h->version_ihl & 15u) * 4, total = lb_ntohs(h->total_length);
  if (h->version_ihl >> 4 != 4 || header < sizeof(lb_ipv4) || total < header || m.l3 + total > length)
    return LB_DROP_BadIpHeader;
  const lb_be16 csum = header == sizeof(lb_ipv4) ? lb_csum_ipv4(h, sizeof(lb_ipv4)) : lb_csum_ipv4(h, header);
  if (csum != 0) return LB_DROP_BadIpChecksum;
  m.proto = h->proto;
  m.l4 = static_cast<uint16_t>(m.l3 + header);
  m.ip_length = static_cast<uint16_t>(total);
  m.fragment = (h->frag & lb_htons(LB_IPV4_MF | LB_IPV4_OFFSET)) != 0;
  return kFine;
}

uint32_t extension_bytes(uint8_t kind, const uint8_t* h) noexcept {
  if (kind == LB_PROTO_FRAGMENT) return sizeof(lb_ipv6_frag);
  return kind == LB_PROTO_AH ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;  // RFC 4302 section 2.2, RFC 8200 section 4
}

// Up to the L4 header, or up to a fragment header: behind that one no header can be relied on. An atomic fragment
// (offset 0, no more) is a whole packet (RFC 8200 section 4.5) and is walked over.
Drop walk_extensions(const uint8_t* frame, uint32_t end, uint8_t next, Meta& m) noexcept {
  const uint32_t first = m.l3 + static_cast<uint32_t>(sizeof(lb_ipv6));
  uint32_t at = first;
  for (uint32_t count = 0; lb_is_extension(next) != 0 && !m.fragment; count++) {
    if (count == kMaxExtensions || at + 8 > end) return LB_DROP_BadExtension;
    const uint32_t bytes = extension_bytes(next, frame + at);
    if (at + bytes > end || at + bytes - first > kMaxExtensionBytes) return LB_DROP_BadExtension;
    if (next == LB_PROTO_FRAGMENT) m.fragment = (load_be16(frame + at + 2) & 0xfff9) != 0;
    next = frame[at];
    at += bytes;
  }
  m.proto = next;
  m.l4 = static_cast<uint16_t>(at);
  return kFine;
}

Drop parse_ipv6(const uint8_t* frame, uint32_t length, Meta& m) noexcept {
  const auto* h = header_at<lb_ipv6>(frame, m.l3);
  const uint32_t total = lb_ntohs(h->payload_length) + static_cast<uint32_t>(sizeof(lb_ipv6));
  if (h->vtc_flow[0] >> 4 != 6 || m.l3 + total > length) return LB_DROP_BadIpHeader;
  m.ip_length = static_cast<uint16_t>(total);
  return walk_extensions(frame, m.l3 + total, h->next, m);
}

uint32_t l4_bytes(const Meta& m) noexcept {
  return static_cast<uint32_t>(m.l3 + m.ip_length - m.l4);
}

// Neighbour discovery and multicast listener discovery: the kernel's, whatever the destination.
bool is_neighbour_discovery(const uint8_t* frame, const Meta& m) noexcept {
  if (m.family != 6 || m.proto != LB_PROTO_ICMPV6 || m.fragment || l4_bytes(m) < 1) return false;
  return lb_is_discovery(frame[m.l4]) != 0;
}

// What no client can have, apart from our own addresses.
bool is_bad_source(const Meta& m) noexcept {
  const uint8_t* b = m.src.b;
  return (m.family == 4 ? lb_is_bad_source4(lb_load32(b + 12)) : lb_is_bad_source6(lb_load64(b), lb_load64(b + 8))) !=
         0;
}

Drop parse_icmp(uint8_t type, uint8_t family) noexcept {
  if (type == (family == 4 ? kEcho4 : kEcho6)) return LB_DROP_EchoLimited;
  return lb_is_icmp_error(family, type) != 0 ? LB_DROP_IcmpUnmatched : LB_DROP_IcmpOther;
}

// Protocols that we know no header of pass without ports; no listener can want them.
Drop parse_l4(const uint8_t* frame, Meta& m) noexcept {
  const uint32_t bytes = l4_bytes(m);
  if (m.proto == LB_PROTO_TCP) {
    if (bytes < sizeof(lb_tcp)) return LB_DROP_BadL4Header;
    const auto* h = header_at<lb_tcp>(frame, m.l4);
    const uint32_t header = (h->data_offset >> 4) * 4u;
    if (header < sizeof(lb_tcp) || header > bytes) return LB_DROP_BadL4Header;
    m.sport = h->sport;
    m.dport = h->dport;
    m.tcp = static_cast<uint8_t>((h->flags & kTcpFlags) | (bytes > header ? kTcpPayload : 0));
  } else if (m.proto == LB_PROTO_UDP) {
    if (bytes < sizeof(lb_udp)) return LB_DROP_BadL4Header;
    const auto* h = header_at<lb_udp>(frame, m.l4);
    // Shorter than the IP payload is legal: the rest is the surplus area of RFC 9868.
    if (lb_ntohs(h->length) < sizeof(lb_udp) || lb_ntohs(h->length) > bytes) return LB_DROP_BadL4Header;
    m.sport = h->sport;
    m.dport = h->dport;
  } else if (m.proto == (m.family == 4 ? LB_PROTO_ICMP : LB_PROTO_ICMPV6)) {
    if (bytes < sizeof(lb_icmp)) return LB_DROP_BadL4Header;
    return parse_icmp(frame[m.l4], m.family);
  }
  return kFine;
}

// REQUIRES: owned.
void judge(Batch& b, Slot i, const Snapshot& s) noexcept {
  Meta& m = b.meta[i];
  const uint8_t* frame = b.data[i];
  Drop why = m.family == 4 ? parse_ipv4(frame, b.length[i], m) : parse_ipv6(frame, b.length[i], m);
  if (why != kFine) return b.drop(i, why);
  if (is_neighbour_discovery(frame, m)) return b.punt_owned(i);
  if (is_bad_source(m) || find_address(s, m.src, lb_address_hash(&m.src)) != kNotOwned)
    return b.drop(i, LB_DROP_BadSource);
  if (m.fragment) {
    b.fragments |= 1ull << i;
    return;
  }
  why = parse_l4(frame, m);
  if (why == LB_DROP_EchoLimited) return b.refuse(i, why);
  if (why != kFine) b.drop(i, why);
}

void prefetch_address(const Snapshot& s, uint32_t hash) noexcept {
  __builtin_prefetch(&s.addresses[hash & static_cast<uint32_t>(s.addresses.size() - 1)]);
}

}  // namespace

void parse(Batch& b, const Snapshot& snapshot) noexcept {
  for (Slot i : b.unparsed()) __builtin_prefetch(b.data[i]);
  for (Slot i : b.unparsed()) {
    b.meta[i] = Meta{};
    b.meta[i].service = LB_NO_SERVICE;
  }
  if (snapshot.addresses.empty()) {
    for (Slot i : b.unparsed()) b.punt(i);
    return;
  }
  std::array<uint32_t, kBatch> hash;
  for (Slot i : b.unparsed()) {
    Meta& m = b.meta[i];
    if (!read_addresses(b, i, m)) {
      b.punt(i);
      continue;
    }
    hash[i] = lb_address_hash(&m.dst);
    prefetch_address(snapshot, hash[i]);
    prefetch_address(snapshot, lb_address_hash(&m.src));
  }
  for (Slot i : b.unparsed()) {
    b.meta[i].address = find_address(snapshot, b.meta[i].dst, hash[i]);
    if (b.meta[i].address == kNotOwned) b.punt(i);
  }
  for (Slot i : b.unparsed()) judge(b, i, snapshot);
}

}  // namespace lb::stages
