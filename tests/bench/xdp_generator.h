// What xdp_bench sets and the programs of xdp_generator.bpf.c read: the one value of `generator`. C11 and C++20.
#pragma once

#include <linux/types.h>

#define LB_BENCH_FRAME 64u

enum lb_bench_order {
  LB_BENCH_RANDOM = 0,      // one of the flows, by chance
  LB_BENCH_SEQUENTIAL = 1,  // the next one, for ever
};

struct lb_bench_generator {
  __u8 frame[LB_BENCH_FRAME];  // Ethernet, IPv4 with source 0.0.0.0 and the checksum that belongs to it, TCP
  __u64 random;                // state; never 0
  __u32 order;                 // enum lb_bench_order
  __u32 flows;                 // RANDOM: so many
  __u32 next;                  // SEQUENTIAL: this one comes now
  __u32 pad;
};

// A flow's number as source address 100.64.0.0 + low 16 bits and source port 1024 + the others.
#define LB_BENCH_SOURCE 0x64400000u
#define LB_BENCH_PORT 1024u
