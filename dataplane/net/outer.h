// Outer headers of `ipip` (RFC 2003, RFC 2473), and the front of a frame that a backend's record keeps ready: filled
// into memory that the caller has checked. C11 and C++20.
//   tos    DSCP copied, ECN by RFC 6040 section 4.1 normal mode: both are the inner byte unchanged
//   TTL    64, a host's own packet
//   id     IPv4: 0 with DF (RFC 6864 section 4.1: an atomic datagram's id means nothing)
//   label  IPv6: 20 bits of the inner flow's entropy, so that ECMP spreads tunnels (RFC 6438)
#pragma once

#include "dataplane/net/abi.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"

#define LB_OUTER_TTL 64

// Where the parts of lb_backend::head lie: the outer header behind the Ethernet header.
#define LB_HEAD_OUTER 14u
#define LB_HEAD_IPV4_SRC (LB_HEAD_OUTER + 12u)
#define LB_HEAD_IPV4_DST (LB_HEAD_OUTER + 16u)
#define LB_HEAD_IPV6_SRC (LB_HEAD_OUTER + 8u)
#define LB_HEAD_IPV6_DST (LB_HEAD_OUTER + 24u)

// address: of the backend; source: ours on that egress, all zeros when it is not known; both mapped when IPv4, of one
// family. Sets head, sum and LB_BACKEND_IPV6; the inner protocol is that of IPv4.
static inline void lb_backend_set_head(struct lb_backend* b, const struct lb_addr* address,
                                       const struct lb_addr* source, const __u8 dst_mac[6], const __u8 src_mac[6]) {
  static const __u8 prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  __u8* const h = b->head;
  __builtin_memset(h, 0, LB_HEAD_MAX);
  __builtin_memcpy(h, dst_mac, 6);
  __builtin_memcpy(h + 6, src_mac, 6);
  b->sum = 0;
  if (__builtin_memcmp(address->b, prefix, 12) == 0) {
    h[12] = LB_ETH_IPV4 >> 8;
    h[13] = LB_ETH_IPV4 & 0xff;
    h[LB_HEAD_OUTER] = 0x45;
    h[LB_HEAD_OUTER + 6] = LB_IPV4_DF >> 8;
    h[LB_HEAD_OUTER + 8] = LB_OUTER_TTL;
    h[LB_HEAD_OUTER + 9] = LB_PROTO_IPIP;
    __builtin_memcpy(h + LB_HEAD_IPV4_SRC, source->b + 12, 4);
    __builtin_memcpy(h + LB_HEAD_IPV4_DST, address->b + 12, 4);
    b->sum = lb_csum_fold(lb_csum_words(h + LB_HEAD_OUTER, sizeof(struct lb_ipv4) / 2));
    b->flags = (__u8)(b->flags & ~LB_BACKEND_IPV6);
  } else {
    h[12] = LB_ETH_IPV6 >> 8;
    h[13] = LB_ETH_IPV6 & 0xff;
    h[LB_HEAD_OUTER] = 0x60;
    h[LB_HEAD_OUTER + 6] = LB_PROTO_IPIP;
    h[LB_HEAD_OUTER + 7] = LB_OUTER_TTL;
    __builtin_memcpy(h + LB_HEAD_IPV6_SRC, source->b, 16);
    __builtin_memcpy(h + LB_HEAD_IPV6_DST, address->b, 16);
    b->flags = (__u8)(b->flags | LB_BACKEND_IPV6);
  }
}

// The checksum that follows from the record's sum, what the packet decides, and a protocol other than IPIP.
static inline lb_be16 lb_outer_csum(const struct lb_backend* b, __u8 tos, lb_be16 total_length, __u8 inner_proto) {
  const __u32 proto = (__u32)(inner_proto - LB_PROTO_IPIP) << 8;  // the high byte of its word, as it lies in the packet
  return (lb_be16)~lb_csum_fold((__u32)b->sum + ((__u32)tos << 8) + total_length + proto);
}

// Headers are written as a few wide words. frame: where the frame will begin, LB_HEAD_OUTER + outer header before the
// inner packet, of inner_length bytes, at most 65515. inner_proto: LB_PROTO_IPIP or LB_PROTO_IPV6.
static inline void lb_outer_ipv4(__u8* frame, const struct lb_backend* b, __u8 inner_proto, __u8 tos,
                                 __u16 inner_length) {
  const lb_be16 total = lb_htons((__u16)(inner_length + sizeof(struct lb_ipv4)));
  const lb_be16 csum = lb_outer_csum(b, tos, total, inner_proto);
  __builtin_memcpy(frame, b->head, 16);
  __builtin_memcpy(frame + 16, b->head + 16, 16);
  __builtin_memcpy(frame + 32, b->head + 32, 2);
  frame[LB_HEAD_OUTER + 1] = tos;
  __builtin_memcpy(frame + LB_HEAD_OUTER + 2, &total, 2);
  frame[LB_HEAD_OUTER + 9] = inner_proto;
  __builtin_memcpy(frame + LB_HEAD_OUTER + 10, &csum, 2);
}

static inline void lb_outer_ipv6(__u8* frame, const struct lb_backend* b, __u8 inner_proto, __u8 tos,
                                 __u16 inner_length, __u32 flow_label) {
  const __u32 vtc_flow = lb_htonl(0x60000000u | (__u32)tos << 20 | (flow_label & 0xfffffu));
  const lb_be16 length = lb_htons(inner_length);
  __builtin_memcpy(frame, b->head, 48);
  __builtin_memcpy(frame + 48, b->head + 48, LB_HEAD_MAX - 48);
  __builtin_memcpy(frame + LB_HEAD_OUTER, &vtc_flow, 4);
  __builtin_memcpy(frame + LB_HEAD_OUTER + 4, &length, 2);
  frame[LB_HEAD_OUTER + 6] = inner_proto;
}

// A frame's 802.1Q tag, of priority 0: between addresses and type. frame: untagged, with LB_TAG_BYTES of room in front;
// it begins there afterwards.
#define LB_TAG_BYTES ((__u32)sizeof(struct lb_vlan))
static inline void lb_push_tag(__u8* frame, lb_be16 vlan) {
  const lb_be16 type = lb_htons(LB_ETH_VLAN);
  __u8 addresses[12];
  __builtin_memcpy(addresses, frame, sizeof addresses);
  __builtin_memcpy(frame - LB_TAG_BYTES, addresses, sizeof addresses);
  __builtin_memcpy(frame + 8, &type, 2);
  __builtin_memcpy(frame + 10, &vlan, 2);
}
static inline __u32 lb_tag_bytes(const struct lb_backend* b) {
  return b->vlan != 0 ? LB_TAG_BYTES : 0;
}

// RFC 6438: the low bits of the flow hash; 0 would mean unlabelled. (A table's slot comes from the high half.)
static inline __u32 lb_flow_label(__u64 hash) {
  const __u32 label = (__u32)hash & 0xfffffu;
  return label != 0 ? label : 1;
}
