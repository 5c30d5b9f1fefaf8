// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// The bookkeeping: each packet is counted under exactly one verdict, its service and backend when it was forwarded. And
// the record of what was decided, where somebody wants to know.
#pragma once

#include "xdp/next_hop.bpf.h"
#include "xdp/packet.bpf.h"

static __always_inline void add(__u64* counter, __u64 n) {
  if (lb_port.shared)
    __sync_fetch_and_add(counter, n);
  else
    *counter += n;
}
static __always_inline void count(struct lb_xdp_worker* w, __u32 what, __u64 n) {
  if (what < LB_COUNT_MAX) add(&w->counters[what], n);
}
static __always_inline void count_traffic(struct lb_traffic* t, __u64 bytes) {
  if (t == 0) return;
  add(&t->packets, 1);
  add(&t->bytes, bytes);
}
static __always_inline void count_forwarded(struct lb_xdp_worker* w, __u32 worker, const struct packet* p,
                                            __u64 bytes) {
  count(w, LB_COUNT_Forwarded, 1);
  count(w, LB_COUNT_ForwardedBytes, bytes);
  if (p->service < LB_XDP_SERVICES)
    count_traffic(LOOKUP(lb_service_traffic, worker * LB_XDP_SERVICES + p->service), bytes);
  count_traffic(LOOKUP(lb_backend_traffic, worker * LB_XDP_BACKENDS + p->backend), bytes);
}

static __always_inline void record(const struct world* world, const struct packet* p, __u32 verdict, __u32 reason,
                                   __u32 egress) {
  struct lb_xdp_decision* d = LOOKUP(lb_decision, 0);
  if (d == 0) return;
  d->verdict = verdict;
  d->reason = reason;
  d->service = p->service;
  d->listener = p->listener;
  const struct lb_xdp_service* service = service_of(world->active, p->service);
  d->slot = d->hash == 0 || service == 0 ? LB_NO_SERVICE : lb_slot(d->hash, service->service.table_size);
  d->flow_hash = p->hash;
  d->backend = p->backend;
  d->egress = egress;
  d->generation = world->half->generation;
}

// RETURNS: the program's answer. egress, bytes: of what is forwarded.
static __always_inline int finish(const struct world* world, struct lb_xdp_worker* w, const struct packet* p,
                                  __u32 fate, __u32 egress, __u64 bytes) {
  const int counts = !is_mode(LB_XDP_DRY);
  __u32 verdict = LB_XDP_DROPPED, reason = fate;
  int action = XDP_DROP;
  if (counts) {
    count(w, LB_COUNT_RxPackets, 1);
    count(w, LB_COUNT_RxBytes, p->length);
  }
  if (fate == FATE_FORWARD) {
    action = counts ? send_by(egress) : XDP_TX;
    verdict = LB_XDP_FORWARDED;
    reason = LB_DROP_TxFull;
    if (counts && action != XDP_DROP) count_forwarded(w, world->worker, p, bytes);
  } else if (fate == FATE_PUNT) {
    action = XDP_PASS;
    verdict = LB_XDP_PUNTED;
    if (counts) count(w, LB_COUNT_Punted, 1);
  } else if (fate == FATE_HAND_OUT) {
    action = counts ? hand_out() : XDP_TX;
    verdict = LB_XDP_HANDED_OUT;
    reason = LB_DROP_NoExceptionPath;
    if (counts && action != XDP_DROP) count(w, LB_COUNT_HandedOut, 1);
  }
  if (action == XDP_DROP) {
    verdict = LB_XDP_DROPPED;
    if (counts) count(w, reason, 1);
  }
  if (!is_mode(LB_XDP_FORWARD)) record(world, p, verdict, verdict == LB_XDP_DROPPED ? reason : 0, egress);
  return action;
}
