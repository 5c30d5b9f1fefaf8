// Outer headers of `ipip` (RFC 2003, RFC 2473): filled into memory that the caller has checked. C11 and C++20.
//   tos    DSCP copied, ECN by RFC 6040 section 4.1 normal mode: both are the inner byte unchanged
//   TTL    64, a host's own packet
//   id     IPv4: 0 with DF (RFC 6864 section 4.1: an atomic datagram's id means nothing)
#pragma once

#include "dataplane/net/abi.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"

#define LB_OUTER_TTL 64

// Headers are written as a few wide words, each made in a register.
//
// inner_proto: LB_PROTO_IPIP or LB_PROTO_IPV6; inner_length: bytes of the inner IP packet, at most 65515.
static inline void lb_outer_ipv4(struct lb_ipv4* h, const __u8 src[4], const __u8 dst[4], __u8 inner_proto, __u8 tos,
                                 __u16 inner_length) {
  const __u64 length = lb_htons((__u16)(inner_length + sizeof(struct lb_ipv4)));
  const __u64 first = 0x45u | (__u64)tos << 8 | length << 16 | (__u64)lb_htons(LB_IPV4_DF) << 48;
  const __u32 ttl_proto = LB_OUTER_TTL | (__u32)inner_proto << 8, from = lb_load32(src), to = lb_load32(dst);
  const __u64 sum = (first & 0xffffffffu) + (first >> 32) + ttl_proto + from + to;
  const __u64 second = ttl_proto | (__u64)(__u16)~lb_csum_fold64(sum) << 16 | (__u64)from << 32;
  __builtin_memcpy(h, &first, 8);
  __builtin_memcpy(&h->ttl, &second, 8);
  __builtin_memcpy(h->dst, &to, 4);
}

// flow_label: 20 bits (RFC 6438: entropy of the inner flow, so that ECMP spreads tunnels).
static inline void lb_outer_ipv6(struct lb_ipv6* h, const __u8 src[16], const __u8 dst[16], __u8 inner_proto, __u8 tos,
                                 __u16 inner_length, __u32 flow_label) {
  const __u32 vtc_flow = lb_htonl(0x60000000u | (__u32)tos << 20 | (flow_label & 0xfffffu));
  const __u64 first =
      vtc_flow | (__u64)lb_htons(inner_length) << 32 | (__u64)inner_proto << 48 | (__u64)LB_OUTER_TTL << 56;
  __builtin_memcpy(h, &first, 8);
  __builtin_memcpy(h->src, src, 16);
  __builtin_memcpy(h->dst, dst, 16);
}
