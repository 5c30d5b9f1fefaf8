// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// The XDP half of an AF_XDP port: what lbd owns goes to the socket of its queue, the rest to the kernel, untouched.
//
// libxdp (1.3) adopts a program that is already attached when it looks like its own default one: a function named
// xsk_def_prog, a map xsks_map, an int `refcnt` at the start of .data (1: ours, so that closing the last socket never
// detaches it) and the metadata xsk_prog_version. Those names are not free to change.
#include "xdp/owned.bpf.h"

#define LB_MAX_QUEUES 256

// One AF_XDP socket per receive queue, entered by libxdp.
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, LB_MAX_QUEUES);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(__u32));
} xsks_map SEC(".maps");

__uint(xsk_prog_version, 1) SEC("xdp_metadata");

volatile int refcnt = 1;

const volatile __u8 port_mac[6] = {};  // set before load

static __always_inline int is_to_port(const __u8* data, const __u8* end) {
  if (data + 6 > end) return 0;
  __u8 different = 0;
  for (int i = 0; i < 6; i++) different |= data[i] ^ port_mac[i];
  return different == 0;
}

SEC("xdp")
int xsk_def_prog(struct xdp_md* ctx) {
  const __u8* data = (const __u8*)(long)ctx->data;
  const __u8* end = (const __u8*)(long)ctx->data_end;
  if (!refcnt || !is_to_port(data, end) || !is_owned(data, end)) return XDP_PASS;
  // A queue without a socket: the kernel must not answer what lbd owns.
  return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
}

char _license[] SEC("license") = "Dual BSD/GPL";
