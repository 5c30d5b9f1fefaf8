// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Stages 4 and 6: does this flow have a backend already, and may the next packet find it? The rules of
// stages/flow.cc for a batch of one packet; docs/flow-table.md. Rare questions are in flow_rare.bpf.h.
#pragma once

#include "xdp/count.bpf.h"
#include "xdp/flow_log.bpf.h"
#include "xdp/flow_rare.bpf.h"
#include "xdp/packet.bpf.h"

enum found {
  FOUND_NOTHING,
  FOUND_FLOW,    // p->backend is the flow's
  FOUND_CHANGE,  // its entry is at `line`, `entry`; a new backend is to be chosen for it
  FOUND_COPY,    // in another table: p->backend is the flow's, `state` its entry's
};

struct flow {
  struct lb_flow_line* first;  // where its entry may be; the second one only while it is needed
  struct lb_flow_line* line;   // where its entry is
  __u32 first_at, line_at, entry;
  __u32 found, state;
};

// Bit i of eight, one of them set -> i.
static __always_inline __u32 index_of(__u32 bit) {
  return 0x56374210u >> (bit * 0x17 >> 5 & 7) * 4 & 7;
}
static __always_inline __u32 lowest(__u32 bits) {
  return index_of(bits & -bits);
}

static __always_inline void put(__u16* cell, __u32 value) {
  *(volatile __u16*)cell = (__u16)value;
}
static __always_inline __u32 get(const __u16* cell) {
  return *(const volatile __u16*)cell;
}

// Asks for the line where a flow most likely is: what comes until match_flow() is done while memory answers.
static __always_inline int touch_flow(const struct world* world, const struct packet* p, struct flow* f) {
  const __u32 base = world->worker * lb_port.lines;
  f->first_at = base + lb_flow_first_line(p->hash, lb_port.lines);
  f->first = LOOKUP(lb_flows, f->first_at);
  if (f->first == 0) return 0;
  const __u64 word = *(volatile __u64*)f->first;
  (void)word;
  return 1;
}

static __always_inline __u32 second_line(const struct world* world, const struct packet* p) {
  return world->worker * lb_port.lines + lb_flow_second_line(p->hash, lb_port.lines);
}

// Bits of the entries with its tags in the line where there are any: f->line.
static __always_inline __u32 match_flow(const struct world* world, const struct packet* p, struct flow* f) {
  f->line = f->first;
  f->line_at = f->first_at;
  const __u32 here = lb_flow_match_words(f->first, (__u32)p->hash);
  if (here != 0) return here;
  f->line_at = second_line(world, p);
  f->line = LOOKUP(lb_flows, f->line_at);
  return f->line == 0 ? 0 : lb_flow_match_words(f->line, (__u32)p->hash);
}

// Nearly always a segment of a flow that goes on; for the others it is a function of its own.
static __always_inline __u32 next_state(__u32 was, const struct packet* p, __u64 now_ms) {
  const int is_tcp = p->proto == LB_PROTO_TCP;
  if (lb_flow_class_of((__u16)was) == LB_FLOW_ESTABLISHED && is_tcp && (p->tcp & (LB_TCP_RST | LB_TCP_FIN)) == 0)
    return lb_flow_state(LB_FLOW_ESTABLISHED, now_ms);
  return flow_next(was, is_tcp, p->tcp, now_ms);
}

static __always_inline __u32 keep_backend(struct flow* f, const struct lb_backend* b, __u32 found) {
  f->found = found;
  return (b->flags & LB_BACKEND_RESOLVED) == 0 ? LB_DROP_NoNextHop : GO_ON;
}

// A packet whose flow has an entry.
static __always_inline __u32 meet(const struct world* world, struct lb_xdp_worker* w,
                                  const struct lb_xdp_service* service, struct packet* p, struct flow* f) {
  const __u32 id = get(&f->line->backend[f->entry]), was = get(&f->line->state[f->entry]);
  const struct lb_backend* b = id < world->half->backends ? backend_of(world->active, id) : 0;
  const enum lb_serves serves = b == 0 ? LB_SERVES_NOT : lb_serves(&service->service, b, p->family);
  if (b == 0 || serves != LB_SERVES_YES) {
    count(w, LB_COUNT_FlowsMovedBackend + (serves - LB_SERVES_NOT), 1);
    f->found = FOUND_CHANGE;
    return GO_ON;
  }
  p->backend = id;
  note_tracked(lb_flow_class_of((__u16)was));
  if (p->proto == LB_PROTO_TCP && lb_flow_is_syn(p->tcp)) {
    const int eligible = lb_is_eligible(&service->service, b, p->family);
    const enum lb_flow_syn what = lb_flow_on_syn((__u16)was, eligible, world->now_ms);
    if (what == LB_FLOW_SYN_CHOOSE) {
      f->found = FOUND_CHANGE;
      return GO_ON;
    }
    if (what == LB_FLOW_SYN_BEGIN) put(&f->line->state[f->entry], lb_flow_state(LB_FLOW_ONCE, world->now_ms));
    return keep_backend(f, b, FOUND_FLOW);
  }
  const __u32 now = next_state(was, p, world->now_ms);
  if (now != was) put(&f->line->state[f->entry], now);
  count(w, LB_COUNT_FlowHits, 1);
  return keep_backend(f, b, FOUND_FLOW);
}
_Static_assert(LB_COUNT_FlowsMovedPool == LB_COUNT_FlowsMovedBackend + 1 &&
                   LB_COUNT_FlowsMovedMode == LB_COUNT_FlowsMovedBackend + 2 &&
                   LB_SERVES_OTHER_POOL == LB_SERVES_NOT + 1 && LB_SERVES_WRONG_MODE == LB_SERVES_NOT + 2,
               "counters in the order of the reasons");

// A packet in mid-flow of which we know nothing: a device may have put it on another queue than before.
static __always_inline __u32 find_foreign(const struct world* world, struct lb_xdp_worker* w,
                                          const struct lb_xdp_service* service, struct packet* p, struct flow* f) {
  if (lb_port.workers + lb_port.former_workers < 2) return GO_ON;
  if (p->proto == LB_PROTO_TCP && lb_flow_is_syn(p->tcp)) return GO_ON;
  if (!may_look_elsewhere(w, world)) {
    count(w, LB_COUNT_ForeignSkipped, 1);
    return GO_ON;
  }
  const __u32 found = look_elsewhere(world, service, p, world->worker);
  if (found == 0) return GO_ON;
  count(w, LB_COUNT_ForeignFound, 1);
  p->backend = found >> 16;
  note_tracked(lb_flow_class_of((__u16)found));
  f->state = next_state(found, p, world->now_ms);
  const struct lb_backend* b = backend_of(world->active, p->backend);
  return b == 0 ? LB_DROP_NoNextHop : keep_backend(f, b, FOUND_COPY);
}

static __always_inline __u32 find_flow(const struct world* world, struct lb_xdp_worker* w,
                                       const struct lb_xdp_service* service, struct packet* p, struct flow* f) {
  const __u32 entries = match_flow(world, p, f);
  if (entries == 0) return find_foreign(world, w, service, p, f);
  if (f->line == 0) return GO_ON;
  f->entry = lowest(entries);
  return meet(world, w, service, p, f);
}

// The entry that a new flow gets: f->line, f->line_at, f->entry. RETURNS: 0: nobody's.
static __always_inline int take_entry(const struct world* world, struct lb_xdp_worker* w, const struct packet* p,
                                      struct flow* f) {
  const __u32 one = victim(f->first, world->now_ms);
  f->line = f->first;
  f->line_at = f->first_at;
  f->entry = one & 7;
  if (one >> 16 < LB_FLOW_HARM_ONCE) return 1;
  const __u32 second_at = second_line(world, p);
  struct lb_flow_line* second = LOOKUP(lb_flows, second_at);
  if (second == 0) return 0;
  const __u32 two = victim(second, world->now_ms);
  const int first_is_less = one >> 16 <= two >> 16;
  // The other line's candidate, as the number of its record: one word to keep; its line is looked up where it is
  // needed.
  __u32 other = second_at * LB_FLOW_ENTRIES + (two & 7);
  if (two >> 16 < LB_FLOW_HARM_ONCE || !first_is_less) {
    other = f->first_at * LB_FLOW_ENTRIES + (one & 7);
    f->line = second;
    f->line_at = second_at;
    f->entry = two & 7;
  }
  const __u32 harm = (first_is_less ? one : two) >> 16;
  if (two >> 16 < LB_FLOW_HARM_ONCE) return 1;
  if (harm < LB_FLOW_HARM_FLOW) {
    count(w, harm < LB_FLOW_HARM_CLOSING ? LB_COUNT_FlowsEvictedOnce : LB_COUNT_FlowsEvictedClosing, 1);
    return 1;
  }
  // Both are flows that go on: what the table would send the same way loses nothing.
  if (!is_agreeing(world->half, world->active, f->line, f->line_at * LB_FLOW_ENTRIES + f->entry)) {
    f->line_at = other / LB_FLOW_ENTRIES;
    f->line = LOOKUP(lb_flows, f->line_at);
    f->entry = other & 7;
    if (f->line == 0 || !is_agreeing(world->half, world->active, f->line, other)) return 0;
  }
  count(w, LB_COUNT_FlowsEvictedAgreeing, 1);
  return 1;
}

// After choose(): the flow's packets find it from now on.
static __always_inline void keep_flow(const struct world* world, struct lb_xdp_worker* w, const struct packet* p,
                                      struct flow* f) {
  if (f->found == FOUND_FLOW || (p->proto == LB_PROTO_TCP && lb_flow_is_refused(p->tcp))) return;
  if (f->found != FOUND_CHANGE && !take_entry(world, w, p, f)) {
    count(w, LB_COUNT_FlowsUntracked, 1);
    return;
  }
  if (f->line == 0) return;
  const __u32 state = f->found == FOUND_COPY ? f->state : lb_flow_state(LB_FLOW_ONCE, world->now_ms);
  const __u32 e = f->entry & 7;
  put(&f->line->tag[e], (__u32)p->hash);
  put(&f->line->tag2[e], (__u32)p->hash >> 16);
  put(&f->line->backend[e], p->backend);
  put(&f->line->state[e], state);
  const __u32 where = f->line_at == f->first_at ? e : e | LB_XDP_LOG_SECOND;
  write_record(world->worker, p, f->line_at * LB_FLOW_ENTRIES + e, where, world->now_ms);
  count(w, LB_COUNT_FlowsInserted, 1);
}
