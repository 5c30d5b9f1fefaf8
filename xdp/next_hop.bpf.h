// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Stage 8: the frame for the wire, as stages/next_hop.cc, and the way to it.
#pragma once

#include "xdp/packet.bpf.h"

// By dsr; what goes by a tunnel has its Ethernet header from rewrite().
static __always_inline void set_next_hop(__u8* frame, const struct packet* p, const struct lb_backend* b) {
  *(word64*)frame = load64(b->head);
  *(word32*)(frame + 8) = load32(b->head + 8);
  *(word16*)(frame + 12) = p->family == 4 ? lb_htons(LB_ETH_IPV4) : lb_htons(LB_ETH_IPV6);
}

// RETURNS: the program's answer; XDP_DROP: there is no such interface.
static __always_inline int send_by(__u32 port) {
  return port == lb_port.port ? XDP_TX : (int)bpf_redirect_map(&lb_egress, port, XDP_DROP);
}
static __always_inline int hand_out(void) {
  return (int)bpf_redirect_map(&lb_exception, lb_port.port, XDP_DROP);
}
