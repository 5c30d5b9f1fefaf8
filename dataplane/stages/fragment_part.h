// What the headers of a fragment say of its place in the datagram (RFC 791 section 3.1, RFC 8200 section 4.5).
#pragma once

#include <cstdint>

#include "dataplane/net/headers.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

struct FragmentPart {
  uint32_t id = 0;      // as it lies in the packet
  uint16_t offset = 0;  // of its first byte in the datagram, in units of 8 bytes
  uint16_t bytes = 0;   // of the datagram
  bool more = false;    // others come behind it

  // What no sender makes: nothing in it, an end that is no multiple of 8 though others follow, or a datagram of more
  // than 65,535 bytes.
  bool is_bad() const noexcept { return bytes == 0 || (more && bytes % 8 != 0) || offset * 8u + bytes > 65535; }
  uint32_t units() const noexcept { return (bytes + 7u) / 8; }
};

// Of the IPv6 fragment header at h: an offset, or more to come. One with neither is a whole packet.
inline bool is_fragment_header(const uint8_t* h) noexcept {
  return (lb_load_be16(h + 2) & 0xfff9) != 0;
}

// Bytes of the IPv6 extension header at h. RFC 4302 section 2.2, RFC 8200 section 4
inline uint32_t extension_bytes(uint8_t kind, const uint8_t* h) noexcept {
  if (kind == LB_PROTO_FRAGMENT) return sizeof(lb_ipv6_frag);
  return kind == LB_PROTO_AH ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;
}

// REQUIRES: parse() has walked over its headers and found it to be a fragment.
inline FragmentPart fragment_part(const uint8_t* frame, const Meta& m) noexcept {
  const uint8_t* const ip = frame + m.l3;
  if (m.family == 4) {
    const auto* h = reinterpret_cast<const lb_ipv4*>(ip);
    const uint16_t word = lb_ntohs(h->frag);
    return {.id = h->id,
            .offset = static_cast<uint16_t>(word & LB_IPV4_OFFSET),
            .bytes = static_cast<uint16_t>(m.ip_length - (h->version_ihl & 15u) * 4),
            .more = (word & LB_IPV4_MF) != 0};
  }
  uint8_t next = ip[6];
  uint32_t at = sizeof(lb_ipv6);
  while (next != LB_PROTO_FRAGMENT || !is_fragment_header(ip + at)) {
    const uint32_t bytes = extension_bytes(next, ip + at);
    next = ip[at];
    at += bytes;
  }
  const auto* h = reinterpret_cast<const lb_ipv6_frag*>(ip + at);
  const uint16_t word = lb_ntohs(h->offset_flags);
  return {.id = h->id,
          .offset = static_cast<uint16_t>(word >> 3),
          .bytes = static_cast<uint16_t>(m.ip_length - at - sizeof(lb_ipv6_frag)),
          .more = (word & 1) != 0};
}

}  // namespace lb::stages
