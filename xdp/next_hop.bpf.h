// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Stage 8: the frame for the wire, as stages/next_hop.cc, and the way to it.
#pragma once

#include "dataplane/net/outer.h"
#include "xdp/packet.bpf.h"

// By dsr; what goes by a tunnel has its Ethernet header from rewrite().
static __always_inline void set_next_hop(__u8* frame, const struct packet* p, const struct lb_backend* b) {
  *(word64*)frame = load64(b->head);
  *(word32*)(frame + 8) = load32(b->head + 8);
  *(word16*)(frame + 12) = p->family == 4 ? lb_htons(LB_ETH_IPV4) : lb_htons(LB_ETH_IPV6);
}

// The frame as it is but for its tag. RETURNS: whether there was room for it. Packet pointers are void afterwards.
static __always_inline int push_tag(struct xdp_md* ctx, lb_be16 vlan) {
  if (bpf_xdp_adjust_head(ctx, -(int)LB_TAG_BYTES) != 0) return 0;
  __u8* const frame = (__u8*)(long)ctx->data;
  if ((const void*)(frame + ETH_BYTES + LB_TAG_BYTES) > (const void*)(long)ctx->data_end) return 0;
  *(word64*)frame = load64(frame + LB_TAG_BYTES);
  *(word32*)(frame + 8) = load32(frame + LB_TAG_BYTES + 8);
  *(word32*)(frame + 12) = lb_htons(LB_ETH_VLAN) | (__u32)vlan << 16;
  return 1;
}

// RETURNS: the program's answer; XDP_DROP: there is no such interface.
static __always_inline int send_by(__u32 port) {
  return port == lb_port.port ? XDP_TX : (int)bpf_redirect_map(&lb_egress, port, XDP_DROP);
}
static __always_inline int hand_out(void) {
  return (int)bpf_redirect_map(&lb_exception, lb_port.port, XDP_DROP);
}
