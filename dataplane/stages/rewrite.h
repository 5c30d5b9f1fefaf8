// Stage 4: the IP packet as its backend gets it.
//   in    Meta::backend, service, l3, ip_length
//   out   data, length, headroom: room for an Ethernet header, tagged when the backend is in a VLAN, then the IP packet
//         that leaves, no padding
//   drop  ttl_expired, too_big: refused before anything is changed; no_headroom
//   cost  the backend's record (one line, prefetched by choose) and the IP header, at hand since parse
// dsr: TTL or hop limit one less (checksum by RFC 1624), everything else as it came.
// ipip: the same, behind an outer header from our address on that egress (RFC 2003, RFC 2473; net/outer.h).
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/net/outer.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

void rewrite(Batch& b, const model::Snapshot& snapshot) noexcept;

// What that mode puts in front of the IP packet.
inline uint32_t outer_bytes(const lb_service& service, const lb_backend& backend) noexcept {
  if (service.forward != LB_FORWARD_IPIP) return 0;
  return (backend.flags & LB_BACKEND_IPV6) != 0 ? sizeof(lb_ipv6) : sizeof(lb_ipv4);
}

// The outer header of an IP packet of `bytes` to that backend, and the Ethernet header, at the front of the frame.
struct Inner {
  uint8_t proto;  // LB_PROTO_IPIP, LB_PROTO_IPV6
  uint8_t tos;
  uint16_t bytes;
  uint64_t hash;  // of the flow
};
inline void write_outer(uint8_t* frame, const lb_backend& backend, const Inner& inner) noexcept {
  if ((backend.flags & LB_BACKEND_IPV6) != 0)
    lb_outer_ipv6(frame, &backend, inner.proto, inner.tos, inner.bytes, lb_flow_label(inner.hash));
  else
    lb_outer_ipv4(frame, &backend, inner.proto, inner.tos, inner.bytes);
}

// Usual packets, by what is put in front of them; bit i: slot i, to Usual::backend.
struct UsualFound {
  uint64_t dsr = 0, ipip4 = 0, ipip6 = 0;
  uint64_t tagged = 0;  // of them, those to a VLAN

  void add(uint64_t bit, bool is_tunnel, const lb_backend& backend) noexcept {
    if (!is_tunnel)
      dsr |= bit;
    else if ((backend.flags & LB_BACKEND_IPV6) != 0)
      ipip6 |= bit;
    else
      ipip4 |= bit;
    if (backend.vlan != 0) tagged |= bit;
  }
};
// The same and set_next_hop() for them: the frame as it leaves, its port, Verdict::kForward.
// RETURNS: those that are ready. The others have no hop left, or do not fit; nothing has happened to them.
uint64_t rewrite_usual(Batch& b, const UsualFound& found, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
