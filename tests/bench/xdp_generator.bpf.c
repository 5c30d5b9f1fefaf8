// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Traffic for the balancer's XDP program inside BPF_PROG_TEST_RUN: `repeat` runs a program again on what it left of the
// packet, so that the second round would see an encapsulated one. `generate` writes a whole new frame, of another flow,
// and ends in a tail call to what is measured; with `answer` and `answer_grown` in that place it measures itself.
#include "tests/bench/xdp_generator.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct lb_bench_generator);
} generator SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} measured SEC(".maps");

static __always_inline __u32 next_flow(struct lb_bench_generator* g) {
  if (g->order == LB_BENCH_SEQUENTIAL) return g->next++;
  __u64 x = g->random;  // xorshift64 (Marsaglia 2003)
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  g->random = x;
  return (__u32)(((x >> 32) * g->flows) >> 32);
}

SEC("xdp")
int generate(struct xdp_md* ctx) {
  const __u32 zero = 0;
  struct lb_bench_generator* g = bpf_map_lookup_elem(&generator, &zero);
  if (!g) return XDP_ABORTED;
  const long length = (long)ctx->data_end - (long)ctx->data;
  if (length != LB_BENCH_FRAME && bpf_xdp_adjust_head(ctx, (int)(length - LB_BENCH_FRAME)) != 0) return XDP_ABORTED;
  __u8* frame = (__u8*)(long)ctx->data;
  if (frame + LB_BENCH_FRAME > (__u8*)(long)ctx->data_end) return XDP_ABORTED;
  const __u32 flow = next_flow(g);
  __builtin_memcpy(frame, g->frame, LB_BENCH_FRAME);
  struct lb_ipv4* ip = (struct lb_ipv4*)(frame + sizeof(struct lb_eth));
  struct lb_tcp* tcp = (struct lb_tcp*)(ip + 1);
  const __u32 source = lb_htonl(LB_BENCH_SOURCE | (flow & 0xffff));
  __builtin_memcpy(ip->src, &source, 4);
  ip->csum = (lb_be16)~lb_csum_fold((__u32)(__u16)~ip->csum + (source & 0xffff) + (source >> 16));
  tcp->sport = lb_htons((__u16)(LB_BENCH_PORT + (flow >> 16)));
  bpf_tail_call(ctx, &measured, 0);
  return XDP_ABORTED;
}

SEC("xdp")
int answer(struct xdp_md* ctx) {
  (void)ctx;
  return XDP_TX;
}

// The same with the room for an outer IPv4 header, which the generator takes back.
SEC("xdp")
int answer_grown(struct xdp_md* ctx) {
  return bpf_xdp_adjust_head(ctx, -(int)sizeof(struct lb_ipv4)) == 0 ? XDP_TX : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
