// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// The balancer as an XDP program. Everything is the kernel's as yet.
#include "xdp/lb_maps.bpf.h"

SEC("xdp")
int lbd_balance(struct xdp_md *ctx) {
  (void)ctx;
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
