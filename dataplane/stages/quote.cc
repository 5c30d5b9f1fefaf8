#include "dataplane/stages/quote.h"

#include <cstddef>
#include <cstring>

#include "dataplane/net/headers.h"
#include "dataplane/net/rules.h"
#include "dataplane/stages/fragment_part.h"

namespace lb::stages {
namespace {

constexpr uint32_t kQuotedL4 = 8;  // RFC 792: ports, and the sequence number or length of the datagram

// The quoted packet, as far as it is there.
struct Quote {
  const uint8_t* at;
  uint32_t bytes;
};
struct L4 {
  uint32_t at = 0;  // 0: there is none
  uint8_t proto = 0;
};

L4 find_l4_in_ipv4(const Quote& q) noexcept {
  if (q.bytes < sizeof(lb_ipv4) || q.at[0] >> 4 != 4) return {};
  const uint32_t header = (q.at[0] & 15u) * 4;
  if (header < sizeof(lb_ipv4)) return {};
  if ((lb_load_be16(q.at + offsetof(lb_ipv4, frag)) & LB_IPV4_OFFSET) != 0) return {};  // ports are in the first one
  return {header, q.at[offsetof(lb_ipv4, proto)]};
}

// The same bounds as for headers that are not quoted; but it goes on behind the header of a first fragment.
L4 find_l4_in_ipv6(const Quote& q) noexcept {
  if (q.bytes < sizeof(lb_ipv6) || q.at[0] >> 4 != 6) return {};
  uint32_t at = sizeof(lb_ipv6);
  uint8_t next = q.at[offsetof(lb_ipv6, next)];
  for (uint32_t count = 0; lb_is_extension(next) != 0; count++) {
    if (count == LB_MAX_EXTENSIONS || at + 8 > q.bytes) return {};
    const uint8_t* h = q.at + at;
    if (next == LB_PROTO_FRAGMENT && (lb_load_be16(h + 2) & 0xfff8) != 0) return {};
    at += extension_bytes(next, h);
    if (at > sizeof(lb_ipv6) + LB_MAX_EXTENSION_BYTES) return {};
    next = h[0];
  }
  return {at, next};
}

}  // namespace

bool read_quote(const uint8_t* frame, Meta& m) noexcept {
  const uint32_t end = static_cast<uint32_t>(m.l3) + m.ip_length, begin = m.l4 + static_cast<uint32_t>(sizeof(lb_icmp));
  if (begin > end) return false;
  const Quote q{frame + begin, end - begin};
  const L4 l4 = m.family == 4 ? find_l4_in_ipv4(q) : find_l4_in_ipv6(q);
  if (l4.at == 0 || l4.at + kQuotedL4 > q.bytes || (l4.proto != LB_PROTO_TCP && l4.proto != LB_PROTO_UDP)) return false;
  const uint32_t address = m.family == 4 ? 4 : 16;  // bytes
  const uint8_t* src = q.at + (m.family == 4 ? offsetof(lb_ipv4, src) : offsetof(lb_ipv6, src));
  uint8_t* const own = m.dst.b + 16 - address;  // IPv4 lies at the end of a mapped address
  if (std::memcmp(src, own, address) != 0) return false;
  m.src = m.dst;  // the prefix of mapped addresses with it
  std::memcpy(m.src.b + 16 - address, src + address, address);
  std::memcpy(&m.dport, q.at + l4.at, 2);
  std::memcpy(&m.sport, q.at + l4.at + 2, 2);
  m.proto = l4.proto;
  return true;
}

}  // namespace lb::stages
