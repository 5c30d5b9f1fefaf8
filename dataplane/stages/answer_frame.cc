// What all answers have in common: the way back, and an IP header.
#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/stages/answer_parts.h"

namespace lb::stages {
namespace {

constexpr uint8_t kTtl = 64;  // a host's own packet

}  // namespace

Reply::Reply(Batch& b, Slot i) noexcept : b_(b), i_(i), m_(b.meta[i]) {
  std::memcpy(link_.data(), b.data[i], m_.l3);
  std::memcpy(link_.data(), b.data[i] + 6, 6);
  std::memcpy(link_.data() + 6, b.port_mac.data(), 6);
}

uint32_t Reply::pseudo_sum(const lb_addr& from, uint8_t proto, uint32_t bytes) const noexcept {
  const uint32_t last = m_.family == 4 ? 12 : 0, words = (16 - last) / 2;
  return lb_csum_words(from.b + last, words) + lb_csum_words(m_.src.b + last, words) +
         lb_htons(static_cast<uint16_t>(bytes)) + lb_htons(proto);
}

void Reply::write_ipv4(uint8_t* ip, uint32_t bytes, const lb_addr& from, uint8_t proto) const noexcept {
  lb_ipv4 h = {.version_ihl = 0x45,
               .tos = tos_,
               .total_length = lb_htons(static_cast<uint16_t>(sizeof h + bytes)),
               .id = id_,
               .frag = frag_,
               .ttl = kTtl,
               .proto = proto,
               .csum = 0,
               .src = {},
               .dst = {}};
  std::memcpy(h.src, from.b + 12, 4);
  std::memcpy(h.dst, m_.src.b + 12, 4);
  h.csum = lb_csum_ipv4(&h, sizeof h);
  std::memcpy(ip, &h, sizeof h);
}

void Reply::write_ipv6(uint8_t* ip, uint32_t bytes, const lb_addr& from, uint8_t proto) const noexcept {
  lb_ipv6 h = {.vtc_flow = {static_cast<uint8_t>(0x60 | tos_ >> 4), static_cast<uint8_t>(tos_ << 4), 0, 0},
               .payload_length = lb_htons(static_cast<uint16_t>(bytes)),
               .next = proto,
               .hop_limit = kTtl,
               .src = {},
               .dst = {}};
  std::memcpy(h.src, from.b, 16);
  std::memcpy(h.dst, m_.src.b, 16);
  std::memcpy(ip, &h, sizeof h);
}

void Reply::send(uint8_t* body, uint32_t bytes, const lb_addr& from, uint8_t proto) noexcept {
  const uint32_t header = ip_header_bytes(m_);
  uint8_t* const ip = body - header;
  if (m_.family == 4)
    write_ipv4(ip, bytes, from, proto);
  else
    write_ipv6(ip, bytes, from, proto);
  uint8_t* const frame = ip - m_.l3;
  std::memcpy(frame, link_.data(), m_.l3);
  b_.headroom[i_] = static_cast<uint16_t>(b_.headroom[i_] + (frame - b_.data[i_]));
  b_.data[i_] = frame;
  b_.length[i_] = static_cast<uint16_t>(m_.l3 + header + bytes);
}

}  // namespace lb::stages
