// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Where a new flow's record goes. Its place in the table is a cache line somewhere in the memory of all records, which
// costs more than all else that a new flow does; a log is written line after line, and lbd puts them in their places.
#pragma once

#include "xdp/packet.bpf.h"

static __always_inline void fill_record(__u64* to, const struct packet* p, __u32 where, __u64 now_ms) {
  const __u64 words[7] = {p->hash,     p->src.first,
                          p->src.last, p->dst.first,
                          p->dst.last, p->ports | (__u64)p->proto << 32 | (__u64)where << LB_XDP_LOG_WHERE_SHIFT,
                          now_ms};
#pragma unroll
  for (int i = 0; i < 7; i++) to[i] = words[i];
  to[7] = lb_flow_cold_check(words);
}

// where: see union lb_xdp_log_line. RETURNS: 0: the log has no room, or several CPUs would write it.
static __always_inline int log_record(__u32 worker, const struct packet* p, __u32 where, __u64 now_ms) {
  if (lb_port.shared) return 0;
  const __u32 base = worker * LB_XDP_LOG_LINES;
  union lb_xdp_log_line* ends = LOOKUP(lb_flow_log, base);
  if (ends == 0) return 0;
  const __u64 head = ends->ends.head;
  if (head - *(volatile __u64*)&ends->ends.tail >= LB_XDP_LOG_ENTRIES) return 0;
  union lb_xdp_log_line* to = LOOKUP(lb_flow_log, base + 1 + ((__u32)head & (LB_XDP_LOG_ENTRIES - 1)));
  if (to == 0) return 0;
  fill_record(to->words, p, where, now_ms);
  asm volatile("" ::: "memory");  // the record before the head that tells of it
  *(volatile __u64*)&ends->ends.head = head + 1;
  return 1;
}

static __always_inline void write_record(__u32 worker, const struct packet* p, __u32 at, __u32 where, __u64 now_ms) {
  if (log_record(worker, p, where, now_ms)) return;
  __u64* to = LOOKUP(lb_flow_records, at);
  if (to != 0) fill_record(to, p, 0, now_ms);
}
