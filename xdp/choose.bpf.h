// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Stages 3 and 5: the tuple as one keyed number, and the backend that a new flow gets by it.
#pragma once

#include "xdp/packet.bpf.h"

static __always_inline void hash_flow(const struct world* world, struct packet* p) {
  const struct lb_hash_key* key = &world->half->key;
  if (p->family == 4) {
    p->hash = lb_flow_hash4(key, (__u32)(p->src.last >> 32), (__u32)(p->dst.last >> 32), p->ports, (__u8)p->proto);
  } else {
    const __u64 src[2] = {p->src.first, p->src.last}, dst[2] = {p->dst.first, p->dst.last};
    p->hash = lb_flow_hash6_words(key, src, dst, p->ports, (__u8)p->proto);
  }
}

// The first `bits` bits of 8 bytes in network order, as load64() reads them.
static __always_inline __u64 mask64(__u32 bits) {
  return bits == 0 ? 0 : __builtin_bswap64(~0ull << ((64 - bits) & 63));
}

// What picks the slot of a service that schedules by source: the hash of the source's prefix.
APART __u64 hash_source(const struct lb_hash_key* key, const struct lb_service* service, __u64 first, __u64 last) {
  if (key == 0 || service == 0) return 0;
  if (lb_is_mapped(first, last)) {
    const __u32 mask = lb_htonl(~0u << ((32u - service->prefix4) & 31));
    return lb_source_hash4(key, (__u32)(last >> 32) & mask);
  }
  const __u32 bits = service->prefix6 < 64 ? service->prefix6 : 64u;
  return lb_source_hash6(key, first & mask64(bits), last & mask64(service->prefix6 - bits));
}

// A backend's id; 0: none. REQUIRES: the service's table is not empty.
static __always_inline __u32 table_entry(const struct lb_xdp_service* service, __u32 family, __u32 slot) {
  const __u32 line = family == 4 ? service->line4 : service->line6;
  const struct lb_xdp_table_line* l = LOOKUP(lb_tables, line + slot / LB_XDP_TABLE_CELLS);
  return l == 0 ? 0 : l->backend[slot % LB_XDP_TABLE_CELLS];
}

static __always_inline __u32 choose(const struct world* world, const struct lb_xdp_service* service, struct packet* p) {
  __u64 hash = p->hash;
  if (service->service.schedule == LB_SCHEDULE_SOURCE_HASH)
    hash = hash_source(&world->half->key, &service->service, p->src.first, p->src.last);
  p->backend = table_entry(service, p->family, lb_slot(hash, service->service.table_size));
  note_choice(hash);
  return p->backend == 0 ? LB_DROP_NoBackend : GO_ON;
}
