// RFC 9293 section 3.10.7.1: what a closed port says to a segment.
#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/stages/answer_parts.h"

namespace lb::stages {
namespace {

// Sequence numbers that it takes: its data, SYN and FIN.
uint32_t length_in_sequence(const lb_tcp& h, uint32_t bytes) noexcept {
  const uint32_t data = bytes - (h.data_offset >> 4) * 4u;
  return data + ((h.flags & LB_TCP_SYN) != 0) + ((h.flags & LB_TCP_FIN) != 0);
}

}  // namespace

void answer_reset(Batch& b, Slot i) noexcept {
  const Meta& m = b.meta[i];
  lb_tcp in;
  std::memcpy(&in, b.data[i] + m.l4, sizeof in);
  const uint8_t* const ip = b.data[i] + m.l3;
  const auto tos = m.family == 4 ? ip[1] : static_cast<uint8_t>(ip[0] << 4 | ip[1] >> 4);
  lb_tcp h = {.sport = in.dport,
              .dport = in.sport,
              .seq = 0,
              .ack = 0,
              .data_offset = sizeof(lb_tcp) / 4 << 4,
              .flags = LB_TCP_RST,
              .window = 0,
              .csum = 0,
              .urgent = 0};
  if ((in.flags & LB_TCP_ACK) != 0) {
    h.seq = in.ack;
  } else {
    h.flags = LB_TCP_RST | LB_TCP_ACK;
    h.ack = lb_htonl(lb_ntohl(in.seq) + length_in_sequence(in, static_cast<uint32_t>(m.l3 + m.ip_length - m.l4)));
  }
  Reply reply(b, i);
  reply.set_tos(tos & 0xfc);  // the segment's DSCP; a reset is never ECN-capable (RFC 3168 section 6.1.1)
  const uint32_t sum = lb_csum_words(&h, sizeof h / 2) + reply.pseudo_sum(m.dst, LB_PROTO_TCP, sizeof h);
  h.csum = static_cast<lb_be16>(~lb_csum_fold(sum));
  uint8_t* const body = b.data[i] + m.l3 + ip_header_bytes(m);
  std::memcpy(body, &h, sizeof h);
  reply.send(body, sizeof h, m.dst, LB_PROTO_TCP);
}

}  // namespace lb::stages
