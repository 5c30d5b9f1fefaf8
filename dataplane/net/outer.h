// Outer headers of `ipip` (RFC 2003, RFC 2473): filled into memory that the caller has checked. C11 and C++20.
//   tos    DSCP copied, ECN by RFC 6040 section 4.1 normal mode: both are the inner byte unchanged
//   TTL    64, a host's own packet
//   id     IPv4: 0 with DF (RFC 6864 section 4.1: an atomic datagram's id means nothing)
#pragma once

#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"

#define LB_OUTER_TTL 64

// inner_proto: LB_PROTO_IPIP or LB_PROTO_IPV6; inner_length: bytes of the inner IP packet, at most 65515.
static inline void lb_outer_ipv4(struct lb_ipv4* h, const __u8 src[4], const __u8 dst[4], __u8 inner_proto, __u8 tos,
                                 __u16 inner_length) {
  h->version_ihl = 0x45;
  h->tos = tos;
  h->total_length = lb_htons((__u16)(inner_length + sizeof(struct lb_ipv4)));
  h->id = 0;
  h->frag = lb_htons(LB_IPV4_DF);
  h->ttl = LB_OUTER_TTL;
  h->proto = inner_proto;
  h->csum = 0;
  __builtin_memcpy(h->src, src, 4);
  __builtin_memcpy(h->dst, dst, 4);
  h->csum = lb_csum_ipv4(h, sizeof(struct lb_ipv4));
}

// flow_label: 20 bits (RFC 6438: entropy of the inner flow, so that ECMP spreads tunnels).
static inline void lb_outer_ipv6(struct lb_ipv6* h, const __u8 src[16], const __u8 dst[16], __u8 inner_proto, __u8 tos,
                                 __u16 inner_length, __u32 flow_label) {
  h->vtc_flow[0] = (__u8)(0x60 | tos >> 4);
  h->vtc_flow[1] = (__u8)(tos << 4 | ((flow_label >> 16) & 0xf));
  h->vtc_flow[2] = (__u8)(flow_label >> 8);
  h->vtc_flow[3] = (__u8)flow_label;
  h->payload_length = lb_htons(inner_length);
  h->next = inner_proto;
  h->hop_limit = LB_OUTER_TTL;
  __builtin_memcpy(h->src, src, 16);
  __builtin_memcpy(h->dst, dst, 16);
}
