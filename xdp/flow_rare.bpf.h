// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// What the flow stage asks only now and then: whose entry a new flow gets, whether a flow loses anything with its
// entry, and whether another worker's table has a flow. Functions of their own, so that the verifier's work stays
// small.
#pragma once

#include "xdp/choose.bpf.h"
#include "xdp/listener.bpf.h"

// Timeout, base of the harm and shift of the clock for each class, side by side: lb_flow_harm() without branches.
#define CLASS(timeout, base, shift) ((__u64)(timeout) | (__u64)(base) << 16 | (__u64)(shift) << 32)
static const __u64 classes[8] = {
    [LB_FLOW_FREE] = CLASS(0, 0, LB_FLOW_OTHER_SHIFT),
    [LB_FLOW_ONCE] = CLASS(LB_FLOW_ONCE_TIMEOUT, LB_FLOW_HARM_ONCE, LB_FLOW_ONCE_SHIFT),
    [LB_FLOW_CLOSING] = CLASS(LB_FLOW_CLOSING_TIMEOUT, LB_FLOW_HARM_CLOSING, LB_FLOW_OTHER_SHIFT),
    [LB_FLOW_RESET] = CLASS(LB_FLOW_CLOSING_TIMEOUT, LB_FLOW_HARM_CLOSING, LB_FLOW_OTHER_SHIFT),
    [LB_FLOW_UDP] = CLASS(LB_FLOW_UDP_TIMEOUT, LB_FLOW_HARM_FLOW, LB_FLOW_OTHER_SHIFT),
    [LB_FLOW_ESTABLISHED] = CLASS(LB_FLOW_ESTABLISHED_TIMEOUT, LB_FLOW_HARM_FLOW, LB_FLOW_OTHER_SHIFT),
    [LB_FLOW_STALE] = CLASS(0, 0, LB_FLOW_OTHER_SHIFT),
    [7] = CLASS(0, 0, LB_FLOW_OTHER_SHIFT),
};

// All ones when it is less than 0. The compiler would make a branch of it that nobody can foresee.
static __always_inline __u64 sign_of(__u64 x) {
  asm volatile("%0 s>>= 63" : "+r"(x));
  return x;
}

// As lb_flow_victim_plain(): harm << 16 | entry.
APART __u32 victim(const struct lb_flow_line* line, __u64 now_ms) {
  if (line == 0) return 0;
  __u64 best = 0xffffffffu;
#pragma unroll
  for (__u32 i = 0; i < LB_FLOW_ENTRIES; i++) {
    const __u64 state = *(const volatile __u16*)&line->state[i];
    const __u64 about = *(const volatile __u64*)&classes[state >> 13];
    const __u64 age = ((now_ms >> (about >> 32)) - state) & LB_FLOW_TIME;
    const __u64 live = sign_of(age - (about & 0xffff)), used = sign_of(-state);
    const __u64 harm = (((about >> 16 & 0xffff & live) + (LB_FLOW_TIME - age)) & used) << 16 | i;
    best += (harm - best) & sign_of(harm - best);
  }
  return (__u32)best;
}

// As stages/flow_judge.cc, of the flow whose record is at `at`; its entry is in that line.
APART int is_agreeing(const struct lb_xdp_half* half, __u32 active, const struct lb_flow_line* line, __u32 at) {
  if (half == 0 || line == 0) return 0;
  const struct lb_flow_cold* record = LOOKUP(lb_flow_records, at);
  if (record == 0) return 0;
  // The flow's own record may be in the log yet.
  const __u32 e = at % LB_FLOW_ENTRIES, tags = line->tag[e] | (__u32)line->tag2[e] << 16;
  if ((__u32)record->hash != tags) return 0;
  const struct address src = {load64(record->src.b), load64(record->src.b + 8)};
  struct wanted w = {.dst = {load64(record->dst.b), load64(record->dst.b + 8)},
                     .port_proto = record->dport | (__u32)record->proto << 16};
  if (!find_exact(half, active, &w)) {
    const struct lb_address_slot* slot = find_address(half, active, w.dst);
    const struct lb_port_range* range = slot == 0 ? 0 : range_of(slot, active, w.port_proto);
    if (range == 0) return 1;  // nobody listens there: its packets would not get here
    w.service = range->service;
  }
  if (w.service >= half->services) return 0;
  const struct lb_xdp_service* service = service_of(active, w.service);
  if (service == 0 || service->service.table_size == 0) return 0;
  __u64 hash = record->hash;
  if (service->service.schedule == LB_SCHEDULE_SOURCE_HASH)
    hash = hash_source(&half->key, &service->service, src.first, src.last);
  const __u32 family = lb_is_mapped(w.dst.first, w.dst.last) ? 4 : 6;
  const __u32 chosen = table_entry(service, family, lb_slot(hash, service->service.table_size));
  return chosen == line->backend[e];
}

APART __u32 flow_next(__u32 was, __u32 is_tcp, __u32 tcp, __u64 now_ms) {
  return lb_flow_next((__u16)was, (int)is_tcp, tcp, now_ms);
}

static __always_inline int may_look_elsewhere(struct lb_xdp_worker* w, const struct world* world) {
  const __u64 now = world->now_ms, since = w->lookups_ms != 0 ? w->lookups_ms : world->config->started_ms;
  const __u64 price = 2ull * (lb_port.workers - 1 + lb_port.former_workers);
  const __u64 passed = now > since ? now - since : 0;
  __u64 left = w->lookups_left;
  if (passed != 0) {
    left += (passed < LB_FLOW_SWEEP_MS ? passed : LB_FLOW_SWEEP_MS) * LB_FOREIGN_LINES_PER_MS;
    if (left > LB_FOREIGN_MOST_LINES) left = LB_FOREIGN_MOST_LINES;
  }
  if (passed != 0 || w->lookups_ms == 0) w->lookups_ms = now;
  const int may = left >= price;
  w->lookups_left = may ? left - price : left;
  return may;
}

struct foreign {
  const struct lb_xdp_half* half;
  const struct lb_service* service;
  __u64 hash;
  __u32 family, active, own;
  __u32 found;  // backend << 16 | state; 0: nothing
};

// The flow's entry in a line of another table. RETURNS: backend << 16 | state; 0: there is none whose backend serves.
APART __u32 look_in_line(const struct lb_flow_line* line, const struct lb_service* service, __u32 tags, __u32 family,
                         __u32 backends_active) {
  if (line == 0 || service == 0) return 0;
  const __u32 entries = lb_flow_match_words(line, tags);
#pragma clang loop unroll(disable)
  for (__u32 i = 0; i < LB_FLOW_ENTRIES; i++) {
    if ((entries >> i & 1) == 0) continue;
    const __u32 id = *(const volatile __u16*)&line->backend[i];
    if (id >= backends_active >> 1) continue;
    const struct lb_backend* b = backend_of(backends_active & 1, id);
    if (b == 0 || lb_serves(service, b, family) != LB_SERVES_YES) continue;
    return id << 16 | *(const volatile __u16*)&line->state[i];
  }
  return 0;
}

// n: twice the worker's number, 1 more for the second line.
static __always_inline __u32 line_of(__u64 hash, __u32 n, __u32 lines) {
  return (n >> 1) * lines + ((n & 1) == 0 ? lb_flow_first_line(hash, lines) : lb_flow_second_line(hash, lines));
}
static __always_inline long look_in(const struct lb_flow_line* line, struct foreign* f) {
  if (line == 0) return 0;
  f->found = look_in_line(line, f->service, (__u32)f->hash, f->family, f->half->backends << 1 | f->active);
  return f->found != 0;
}
static long look_at_worker(__u32 n, void* context) {
  struct foreign* f = context;
  if (n >> 1 == f->own) return 0;
  return look_in(LOOKUP(lb_flows, line_of(f->hash, n, lb_port.lines)), f);
}
static long look_at_former(__u32 n, void* context) {
  struct foreign* f = context;
  return look_in(LOOKUP(lb_former_flows, line_of(f->hash, n, lb_port.former_lines)), f);
}

APART __u32 look_at_all(const struct lb_xdp_half* half, const struct lb_service* service, __u64 hash,
                        __u32 family_active, __u32 own) {
  if (half == 0 || service == 0) return 0;
  struct foreign f = {.half = half,
                      .service = service,
                      .hash = hash,
                      .family = family_active >> 1,
                      .active = family_active & 1,
                      .own = own};
  if (lb_port.workers != 0) bpf_loop(2 * lb_port.workers, look_at_worker, &f, 0);
  if (f.found == 0 && lb_port.former_workers != 0) bpf_loop(2 * lb_port.former_workers, look_at_former, &f, 0);
  return f.found;
}

// own: the worker whose table is not looked at. RETURNS: backend << 16 | state of the flow's entry; 0: there is none
// whose backend serves.
static __always_inline __u32 look_elsewhere(const struct world* world, const struct lb_xdp_service* service,
                                            const struct packet* p, __u32 own) {
  return look_at_all(world->half, &service->service, p->hash, p->family << 1 | world->active, own);
}
