// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Stage 7: the IP packet as its backend gets it, as stages/rewrite.cc: a hop less, behind an outer header for `ipip`,
// without tags and padding.
#pragma once

#include <stddef.h>

#include "dataplane/net/outer.h"
#include "xdp/packet.bpf.h"

// REQUIRES: one is left.
static __always_inline void take_hop(struct packet* p) {
  __u8* const ip = p->ip;
  if (p->family == 4)
    *(word32*)(ip + offsetof(struct lb_ipv4, ttl)) = lb_csum_decrement(p->hop);
  else
    ip[offsetof(struct lb_ipv6, hop_limit)] = (__u8)((p->hop >> 24) - 1);
}

// The compiler makes wide words of what the shared functions copy when it takes both sides for aligned.
static __always_inline void write_outer(__u8* frame, __u32 outer, const struct packet* p, const struct lb_backend* b) {
  __u8* const to = __builtin_assume_aligned(frame, 8);
  const struct lb_backend* const from = __builtin_assume_aligned(b, 64);
  const __u8 proto = p->family == 4 ? LB_PROTO_IPIP : LB_PROTO_IPV6;
  if (outer == sizeof(struct lb_ipv4))
    lb_outer_ipv4(to, from, proto, (__u8)p->tos, (__u16)p->ip_length);
  else
    lb_outer_ipv6(to, from, proto, (__u8)p->tos, (__u16)p->ip_length, lb_flow_label(p->hash));
}

// Room for the outer header, no tags, no padding. Packet pointers are void afterwards.
static __always_inline __u32 resize(struct xdp_md* ctx, __u32 outer, const struct packet* p) {
  const __s32 grow = (__s32)(ETH_BYTES + outer - p->l3);
  const __s32 padding = (__s32)(p->length - p->l3 - p->ip_length);
  if (grow != 0 && bpf_xdp_adjust_head(ctx, -grow) != 0) return LB_DROP_NoHeadroom;
  if (padding != 0 && bpf_xdp_adjust_tail(ctx, -padding) != 0) return LB_DROP_NoHeadroom;  // it never fails to shrink
  return GO_ON;
}

// frame: as it leaves, but for the Ethernet header when there is no outer one.
static __always_inline __u32 rewrite(struct xdp_md* ctx, struct packet* p, const struct lb_service* service,
                                     const struct lb_backend* b, __u8** frame, __u32* outer) {
  const __u32 header = (b->flags & LB_BACKEND_IPV6) != 0 ? sizeof(struct lb_ipv6) : sizeof(struct lb_ipv4);
  *outer = service->forward == LB_FORWARD_IPIP ? header : 0;
  // parse() has seen to it that a hop is left, but for explain. What is too big is split or answered by the exception
  // path, which gets it as it came.
  if (is_mode(LB_XDP_DRY) && (p->family == 4 ? p->hop & 0xff : p->hop >> 24) <= 1) return LB_DROP_TtlExpired;
  if (p->ip_length + *outer > b->mtu) return is_mode(LB_XDP_DRY) ? LB_DROP_TooBig : FATE_HAND_OUT;
  take_hop(p);
  const __u32 why = resize(ctx, *outer, p);
  if (why != GO_ON) return why;
  *frame = (__u8*)(long)ctx->data;
  const void* const end = (const void*)(long)ctx->data_end;
  if (*outer == sizeof(struct lb_ipv6)) {
    if ((const void*)(*frame + LB_HEAD_MAX) > end) return LB_DROP_NoHeadroom;
    write_outer(*frame, sizeof(struct lb_ipv6), p, b);
  } else {
    // An IPv4 header behind the Ethernet header, the outer one or that of the packet.
    if ((const void*)(*frame + ETH_BYTES + sizeof(struct lb_ipv4)) > end) return LB_DROP_NoHeadroom;
    if (*outer != 0) write_outer(*frame, sizeof(struct lb_ipv4), p, b);
  }
  return GO_ON;
}
