// RFC 792, RFC 4443: echo replies and errors.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/stages/answer_parts.h"

namespace lb::stages {
namespace {

constexpr uint8_t kEchoReply4 = 0, kEchoReply6 = 129;
constexpr uint32_t kMostBytes4 = 576;                // of an error: RFC 1812 section 4.3.2.3
constexpr uint32_t kMostBytes6 = LB_IPV6_LEAST_MTU;  // RFC 4443 section 2.4 (c)
constexpr uint8_t kErrorTos = 0xc0;                  // internetwork control: RFC 1812 section 4.3.2.5

struct TypeCode {
  uint8_t type, code;
};
TypeCode type_of(AnswerKind kind, bool ipv6) noexcept {
  switch (kind) {
    case AnswerKind::kTimeExceeded:
      return ipv6 ? TypeCode{3, 0} : TypeCode{11, 0};
    case AnswerKind::kTooBig:
      return ipv6 ? TypeCode{2, 0} : TypeCode{3, 4};
    default:
      return ipv6 ? TypeCode{1, 4} : TypeCode{3, 3};
  }
}

uint8_t icmp_proto(const Meta& m) noexcept {
  return m.family == 4 ? LB_PROTO_ICMP : LB_PROTO_ICMPV6;
}

}  // namespace

// The message but for its type, and so its checksum, right or wrong, stays what it was. DSCP and ECN are the request's
// (RFC 1349 section 5.1), id and DF too: one who asks with DF wants to know of the way back as well.
void answer_echo(Batch& b, Slot i) noexcept {
  const Meta& m = b.meta[i];
  uint8_t* const ip = b.data[i] + m.l3;
  uint8_t* const icmp = b.data[i] + m.l4;
  Reply reply(b, i);
  if (m.family == 4) {
    lb_ipv4 h;
    std::memcpy(&h, ip, sizeof h);
    reply.set_tos(h.tos);
    reply.set_id(h.id, h.frag & lb_htons(LB_IPV4_DF));
  } else {
    reply.set_tos(static_cast<uint8_t>(ip[0] << 4 | ip[1] >> 4));
  }
  lb_be16 before, after, csum;
  std::memcpy(&before, icmp, 2);
  icmp[0] = m.family == 4 ? kEchoReply4 : kEchoReply6;
  std::memcpy(&after, icmp, 2);
  std::memcpy(&csum, icmp + offsetof(lb_icmp, csum), 2);
  csum = lb_csum_update16(csum, before, after);
  if (csum == 0) csum = 0xffff;  // the same, but for a message of nothing but zeros, whose sum cannot be 0
  std::memcpy(icmp + offsetof(lb_icmp, csum), &csum, 2);
  reply.send(icmp, static_cast<uint32_t>(m.l3 + m.ip_length - m.l4), m.dst, icmp_proto(m));
}

// The packet as it came in, as much of it as fits, stays where it is.
void answer_error(Batch& b, Slot i, AnswerKind kind, const lb_addr& from, uint32_t mtu) noexcept {
  const Meta& m = b.meta[i];
  const bool ipv6 = m.family == 6;
  const uint32_t most = (ipv6 ? kMostBytes6 : kMostBytes4) - ip_header_bytes(m);
  const uint32_t bytes = std::min<uint32_t>(sizeof(lb_icmp) + m.ip_length, most);
  Reply reply(b, i);
  reply.set_tos(kErrorTos);
  const TypeCode is = type_of(kind, ipv6);
  lb_icmp h = {.type = is.type, .code = is.code, .csum = 0, .rest = {}};
  const lb_be32 wire = lb_htonl(mtu);  // RFC 1191 section 4 has it in the low half
  std::memcpy(h.rest, &wire, sizeof wire);
  uint8_t* const body = b.data[i] + m.l3 - sizeof h;
  std::memcpy(body, &h, sizeof h);
  const uint32_t pseudo = ipv6 ? reply.pseudo_sum(from, LB_PROTO_ICMPV6, bytes) : 0;
  h.csum = static_cast<lb_be16>(~lb_csum_fold(lb_csum_bytes(body, bytes) + pseudo));
  std::memcpy(body + offsetof(lb_icmp, csum), &h.csum, sizeof h.csum);
  reply.send(body, bytes, from, icmp_proto(m));
}

}  // namespace lb::stages
