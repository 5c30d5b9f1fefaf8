#include "dataplane/stages/parse.h"

#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/net/hash.h"
#include "dataplane/net/headers.h"
#include "dataplane/net/rules.h"
#include "dataplane/stages/fragment_part.h"
#include "dataplane/stages/quote.h"

namespace lb::stages {
namespace {

using model::Snapshot;

constexpr Drop kFine = static_cast<Drop>(0);  // counter 0 is no drop
static_assert(LB_DROP_FIRST > 0);
constexpr uint32_t kNotOwned = UINT32_MAX;
constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <class Header>
const Header* header_at(const uint8_t* frame, uint32_t offset) noexcept {
  return reinterpret_cast<const Header*>(frame + offset);
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
  uint16_t type = lb_load_be16(frame + at - 2);
  for (uint32_t tags = 0; (type == LB_ETH_VLAN || type == LB_ETH_QINQ) && tags < LB_MAX_TAGS; tags++) {
    at += sizeof(lb_vlan);
    if (at > length) return false;
    type = lb_load_be16(frame + at - 2);
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
  if ((h->frag & lb_htons(LB_IPV4_MF | LB_IPV4_OFFSET)) == 0) return kFine;
  m.fragment = (h->frag & lb_htons(LB_IPV4_OFFSET)) == 0 ? kFirstFragment : kLaterFragment;
  return fragment_part(frame, m).is_bad() ? LB_DROP_BadIpHeader : kFine;
}

// A fragment header that makes the packet one of several. Behind a later one no header can be relied on.
Drop meet_fragment_header(const uint8_t* h, Meta& m) noexcept {
  if (!is_fragment_header(h)) return kFine;
  if (m.fragment != 0) return LB_DROP_BadExtension;
  m.fragment = (lb_load_be16(h + 2) & 0xfff8) == 0 ? kFirstFragment : kLaterFragment;
  return kFine;
}

// Up to the L4 header, or up to a later fragment's bytes. An atomic fragment (offset 0, no more) is a whole packet (RFC
// 8200 section 4.5) and is walked over. A first fragment has all headers (RFC 7112).
Drop walk_extensions(const uint8_t* frame, uint32_t end, uint8_t next, Meta& m) noexcept {
  const uint32_t first = m.l3 + static_cast<uint32_t>(sizeof(lb_ipv6));
  uint32_t at = first;
  for (uint32_t count = 0; lb_is_extension(next) != 0 && m.fragment != kLaterFragment; count++) {
    const Drop cut = m.fragment != 0 ? LB_DROP_FragmentTiny : LB_DROP_BadExtension;
    if (count == LB_MAX_EXTENSIONS) return LB_DROP_BadExtension;
    if (at + 8 > end) return cut;
    const uint32_t bytes = extension_bytes(next, frame + at);
    if (at + bytes - first > LB_MAX_EXTENSION_BYTES) return LB_DROP_BadExtension;
    if (at + bytes > end) return cut;
    if (next == LB_PROTO_FRAGMENT)
      if (const Drop why = meet_fragment_header(frame + at, m); why != kFine) return why;
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
  if (const Drop why = walk_extensions(frame, m.l3 + total, h->next, m); why != kFine) return why;
  return m.fragment != 0 && fragment_part(frame, m).is_bad() ? LB_DROP_BadExtension : kFine;
}

uint32_t l4_bytes(const Meta& m) noexcept {
  return static_cast<uint32_t>(m.l3 + m.ip_length - m.l4);
}

// Neighbour discovery and multicast listener discovery: the kernel's, whatever the destination.
bool is_neighbour_discovery(const uint8_t* frame, const Meta& m) noexcept {
  if (m.family != 6 || m.proto != LB_PROTO_ICMPV6 || m.fragment != 0 || l4_bytes(m) < 1) return false;
  return lb_is_discovery(frame[m.l4]) != 0;
}

// What no client can have, apart from our own addresses.
bool is_bad_source(const Meta& m) noexcept {
  const uint8_t* b = m.src.b;
  return (m.family == 4 ? lb_is_bad_source4(lb_load32(b + 12)) : lb_is_bad_source6(lb_load64(b), lb_load64(b + 8))) !=
         0;
}

bool is_icmp(const Meta& m) noexcept {
  return m.proto == (m.family == 4 ? LB_PROTO_ICMP : LB_PROTO_ICMPV6);
}

// Its checksum is the backend's to judge, as those of TCP and UDP.
Drop parse_icmp(const uint8_t* frame, Meta& m) noexcept {
  if (lb_is_echo_request(m.family, frame[m.l4]) != 0) return LB_DROP_EchoLimited;
  if (lb_is_icmp_error(m.family, frame[m.l4]) == 0) return LB_DROP_IcmpOther;
  return read_quote(frame, m) ? kFine : LB_DROP_IcmpUnmatched;
}

// Its first fragment will tell what it is. A TCP header is whole in the first one (RFC 1858 section 3.2: a later one at
// the eighth byte would write over its flags).
Drop judge_later(const uint8_t* frame, const Meta& m) noexcept {
  if (is_icmp(m)) return LB_DROP_IcmpOther;
  return m.proto == LB_PROTO_TCP && fragment_part(frame, m).offset == 1 ? LB_DROP_FragmentTiny : kFine;
}

// Protocols that we know no header of pass without ports; no listener can want them. In a first fragment the UDP length
// speaks of the whole datagram.
Drop parse_l4(const uint8_t* frame, Meta& m) noexcept {
  const uint32_t bytes = l4_bytes(m);
  const Drop cut = m.fragment != 0 ? LB_DROP_FragmentTiny : LB_DROP_BadL4Header;
  if (m.proto == LB_PROTO_TCP) {
    if (bytes < sizeof(lb_tcp)) return cut;
    const auto* h = header_at<lb_tcp>(frame, m.l4);
    const uint32_t header = (h->data_offset >> 4) * 4u;
    if (header < sizeof(lb_tcp)) return LB_DROP_BadL4Header;
    if (header > bytes) return cut;
    m.sport = h->sport;
    m.dport = h->dport;
    m.tcp = static_cast<uint8_t>((h->flags & kTcpFlags) | (bytes > header ? kTcpPayload : 0));
  } else if (m.proto == LB_PROTO_UDP) {
    if (bytes < sizeof(lb_udp)) return cut;
    const auto* h = header_at<lb_udp>(frame, m.l4);
    // Shorter than the IP payload is legal: the rest is the surplus area of RFC 9868.
    const uint32_t length = lb_ntohs(h->length);
    if (length < sizeof(lb_udp) || (length > bytes && m.fragment == 0)) return LB_DROP_BadL4Header;
    m.sport = h->sport;
    m.dport = h->dport;
  } else if (is_icmp(m)) {
    if (m.fragment != 0) return LB_DROP_IcmpOther;  // what would be quoted, or echoed, is not all here
    if (bytes < sizeof(lb_icmp)) return LB_DROP_BadL4Header;
    return parse_icmp(frame, m);
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
  b.fragments |= static_cast<uint64_t>(m.fragment != 0) << i;
  const bool icmp = is_icmp(m);
  why = m.fragment == kLaterFragment ? judge_later(frame, m) : parse_l4(frame, m);
  if (why == LB_DROP_EchoLimited) return b.refuse(i, why);
  if (why != kFine) return b.drop(i, why);
  if (icmp) b.quoting |= 1ull << i;
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
