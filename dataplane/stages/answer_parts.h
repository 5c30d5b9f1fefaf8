// The parts of answer(), for answer*.cc only. Each turns the packet in slot i into its answer: data, length, headroom,
// verdict and egress.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

enum class AnswerKind : uint8_t { kSilence, kEcho, kReset, kTimeExceeded, kPortUnreachable, kTooBig };

inline uint32_t ip_header_bytes(const Meta& m) noexcept {
  return m.family == 4 ? sizeof(lb_ipv4) : sizeof(lb_ipv6);
}

// What an answer takes over from the packet, which it is written over.
class Reply {
 public:
  Reply(Batch& b, Slot i) noexcept;
  void set_tos(uint8_t tos) noexcept { tos_ = tos; }
  // IPv4. Unless it is set: id 0 and DF, an atomic datagram (RFC 6864 section 4.1).
  void set_id(lb_be16 id, lb_be16 frag) noexcept { id_ = id, frag_ = frag; }
  // The sum of the pseudo header of a body to the packet's source (RFC 9293 section 3.1, RFC 8200 section 8.1).
  uint32_t pseudo_sum(const lb_addr& from, uint8_t proto, uint32_t bytes) const noexcept;
  // Ethernet header, tags and IP header in front of `bytes` bytes at body. REQUIRES: there is room for them.
  void send(uint8_t* body, uint32_t bytes, const lb_addr& from, uint8_t proto) noexcept;

 private:
  void write_ipv4(uint8_t* ip, uint32_t bytes, const lb_addr& from, uint8_t proto) const noexcept;
  void write_ipv6(uint8_t* ip, uint32_t bytes, const lb_addr& from, uint8_t proto) const noexcept;

  Batch& b_;
  const Slot i_;
  const Meta& m_;
  std::array<uint8_t, sizeof(lb_eth) + 2 * sizeof(lb_vlan)> link_;
  uint8_t tos_ = 0;
  lb_be16 id_ = 0, frag_ = lb_htons(LB_IPV4_DF);
};

// REQUIRES: a whole echo request.
void answer_echo(Batch& b, Slot i) noexcept;
// kind: one of the ICMP errors; mtu: of kTooBig. REQUIRES: room for an ICMP header and an IP header in front.
void answer_error(Batch& b, Slot i, AnswerKind kind, const lb_addr& from, uint32_t mtu) noexcept;
// REQUIRES: a whole TCP segment without RST.
void answer_reset(Batch& b, Slot i) noexcept;

}  // namespace lb::stages
