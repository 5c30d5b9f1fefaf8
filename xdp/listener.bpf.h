// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Stage 2: is it ours, and which service is it for? The usual packet, without fault and to a listener's very address,
// port and protocol, needs one slot of the listener table and one of the address table, which must say that its source
// is none of ours. For any other the address table decides: unusual().
#pragma once

#include "xdp/packet.bpf.h"

// A listener is asked for by these. Also of a flow's record, when the flow stage judges an eviction.
struct wanted {
  struct address dst;
  __u32 port_proto;         // as lb_listener_hash() has them: port | protocol << 16
  __u32 service, listener;  // out
};

// Slots are looked at in the order of a probe sequence: the first one here, since it nearly always decides, the others
// apart. RETURNS of each: its index in the map; NONE: there is no such slot.
APART __u32 find_exact_on(__u64 first, __u64 last, __u32 port_proto, __u32 base, __u64 hash_mask) {
  const struct address dst = {first, last};
#pragma clang loop unroll(disable)
  for (__u32 probe = 1; probe < LB_MAX_PROBE; probe++) {
    const __u32 at = base + ((((__u32)hash_mask) + probe) & (__u32)(hash_mask >> 32));
    const struct lb_listener_slot* l = LOOKUP(lb_listeners, at);
    if (l == 0 || l->proto == 0) return NONE;
    if ((load32(&l->port) & 0xffffff) == port_proto && is_address(&l->addr, dst)) return at;
  }
  return NONE;
}
static __always_inline int find_exact(const struct lb_xdp_half* half, __u32 active, struct wanted* w) {
  const __u32 mask = half->listeners_mask, hash = lb_mix32(hash_address(w->dst), w->port_proto);
  const __u32 base = active * LB_XDP_LISTENERS;
  if (mask == LB_XDP_EMPTY) return 0;
  const struct lb_listener_slot* l = LOOKUP(lb_listeners, base + (hash & mask));
  if (l == 0 || l->proto == 0) return 0;
  if ((load32(&l->port) & 0xffffff) != w->port_proto || !is_address(&l->addr, w->dst)) {
    l = LOOKUP(lb_listeners, find_exact_on(w->dst.first, w->dst.last, w->port_proto, base, hash | (__u64)mask << 32));
    if (l == 0) return 0;
  }
  w->service = l->service;
  w->listener = l->listener;
  return 1;
}

APART __u32 find_address_on(__u64 first, __u64 last, __u32 base, __u32 hash, __u32 mask) {
  const struct address a = {first, last};
#pragma clang loop unroll(disable)
  for (__u32 probe = 1; probe < LB_MAX_PROBE; probe++) {
    const __u32 at = base + ((hash + probe) & mask);
    const struct lb_address_slot* slot = LOOKUP(lb_addresses, at);
    if (slot == 0 || slot->flags == 0) return NONE;
    if (is_address(&slot->addr, a)) return at;
  }
  return NONE;
}
static __always_inline const struct lb_address_slot* find_address(const struct lb_xdp_half* half, __u32 active,
                                                                  struct address a) {
  const __u32 mask = half->addresses_mask, hash = hash_address(a);
  const __u32 base = active * LB_XDP_ADDRESSES;
  if (mask == LB_XDP_EMPTY) return 0;
  const struct lb_address_slot* slot = LOOKUP(lb_addresses, base + (hash & mask));
  if (slot == 0 || slot->flags == 0) return 0;
  if (is_address(&slot->addr, a)) return slot;
  return LOOKUP(lb_addresses, find_address_on(a.first, a.last, base, hash, mask));
}

struct range_search {
  __u32 first, port, proto, found;
};
static long look_at_range(__u32 n, void* context) {
  struct range_search* s = context;
  const struct lb_port_range* r = LOOKUP(lb_ranges, s->first + n);
  if (r == 0) return 1;
  if (r->proto != s->proto || s->port < r->first || s->port > r->last) return 0;
  s->found = s->first + n;
  return 1;
}
// Of an address's ranges: port ranges first, any-port listeners after them. RETURNS: its index in the map, or NONE.
APART __u32 find_range(__u32 first, __u32 count, __u32 port_proto) {
  struct range_search s = {
      .first = first, .port = lb_ntohs((lb_be16)port_proto), .proto = port_proto >> 16, .found = NONE};
  if (count != 0) bpf_loop(count, look_at_range, &s, 0);
  return s.found;
}
static __always_inline const struct lb_port_range* range_of(const struct lb_address_slot* slot, __u32 active,
                                                            __u32 port_proto) {
  return LOOKUP(lb_ranges, find_range(active * LB_XDP_RANGES + slot->range_start, slot->range_count, port_proto));
}

// What is not the usual packet. why: what parse() found. RETURNS: its fate; GO_ON when a range takes it.
APART __u32 unusual(const struct lb_xdp_half* half, __u32 active, __u32 why, const struct address* src,
                    struct wanted* w) {
  if (half == 0 || src == 0 || w == 0) return FATE_PUNT;
  const struct lb_address_slot* slot = find_address(half, active, w->dst);
  if (slot == 0) return FATE_PUNT;
  // Faults that come before the lookup of the source.
  if (why == FATE_UNREAD) return FATE_HAND_OUT;
  if (why == LB_DROP_BadIpHeader || why == LB_DROP_BadIpChecksum || why == LB_DROP_BadSource) return why;
  if (find_address(half, active, *src) != 0) return LB_DROP_BadSource;
  if (why != GO_ON) return why;
  const struct lb_port_range* range = range_of(slot, active, w->port_proto);
  if (range == 0 && (slot->flags & LB_ADDR_KERNEL) != 0) return FATE_PUNT;
  if (range == 0)
    return (slot->flags & LB_ADDR_REJECT) != 0 && !is_mode(LB_XDP_DRY) ? FATE_HAND_OUT : LB_DROP_NoListener;
  w->service = range->service;
  w->listener = range->listener;
  return GO_ON;
}

static __always_inline __u32 find_listener(const struct world* world, __u32 why, struct packet* p) {
  struct wanted w = {.dst = p->dst, .port_proto = p->ports >> 16 | p->proto << 16};
  if (why != GO_ON || !find_exact(world->half, world->active, &w)) {
    struct wanted again = w;
    const struct address src = p->src;
    why = unusual(world->half, world->active, why, &src, &again);
    if (why != GO_ON) return why;
    w = again;
  }
  p->service = w.service;
  p->listener = w.listener;
  return GO_ON;
}

// The fault that is left. After find_listener(), so that what it needs is on its way meanwhile.
static __always_inline int is_own_source(const struct world* world, const struct packet* p) {
  return find_address(world->half, world->active, p->src) != 0;
}
