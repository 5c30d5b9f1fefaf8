// In generic mode the kernel runs the program over a frame that lbd gives back to it, too. Such a frame has
// lb_port.given_back in front of it, a number that nobody can guess, and is passed without being counted.
#pragma once

#include "xdp/lb_abi.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

// To be asked only of what would go to the exception path: pointers into the packet are void afterwards.
static __always_inline int lb_is_given_back(struct xdp_md* ctx, __u64 mark) {
  if (mark == 0 || bpf_xdp_adjust_meta(ctx, -(int)sizeof(mark)) != 0) return 0;
  const __u64* in_front = (const void*)(long)ctx->data_meta;
  const int found = (const void*)(in_front + 1) <= (const void*)(long)ctx->data && *in_front == mark;
  bpf_xdp_adjust_meta(ctx, sizeof(mark));
  return found;
}
