#include "dataplane/stages/choose.h"

#include "dataplane/net/hash.h"

namespace lb::stages {
namespace {

using model::Snapshot;

// The first `bits` bits of 8 bytes in network order, as lb_load64() reads them.
uint64_t mask64(uint32_t bits) noexcept {
  return bits == 0 ? 0 : __builtin_bswap64(~0ull << (64 - bits));
}

uint64_t source_hash(const lb_hash_key& key, const Meta& m, const lb_service& service) noexcept {
  if (m.family == 4) {
    const uint32_t mask = lb_htonl(~0u << (32 - service.prefix4));
    return lb_source_hash4(&key, lb_load32(m.src.b + 12) & mask);
  }
  const uint32_t first = service.prefix6 < 64 ? service.prefix6 : 64u;
  return lb_source_hash6(&key, lb_load64(m.src.b) & mask64(first),
                         lb_load64(m.src.b + 8) & mask64(service.prefix6 - first));
}

// The hash whose high half picks the slot: of the flow, or of its source alone.
uint64_t choice_hash(const Snapshot& s, const Meta& m) noexcept {
  const lb_service& service = s.services[m.service];
  return service.schedule == LB_SCHEDULE_SOURCE_HASH ? source_hash(s.hash_key, m, service) : m.hash;
}

}  // namespace

void choose(Batch& b, const Snapshot& snapshot) noexcept {
  std::array<const uint16_t*, kBatch> entry;
  for (Slot i : b.unchosen()) {
    const Meta& m = b.meta[i];
    const lb_service& service = snapshot.services[m.service];
    const uint64_t hash = choice_hash(snapshot, m);
    const uint32_t slot = lb_slot(hash, service.table_size);
    entry[i] = snapshot.table_slots[m.family == 4 ? service.table4 : service.table6] + slot;
    __builtin_prefetch(entry[i]);
    if (b.trace != nullptr) {
      b.trace[i].slot = slot;
      b.trace[i].hash = hash;
    }
  }
  for (Slot i : b.unchosen()) {
    const uint16_t id = *entry[i];
    b.meta[i].backend = id;
    if (id == 0)
      b.drop(i, LB_DROP_NoBackend);
    else
      __builtin_prefetch(&snapshot.backends[id]);
  }
}

}  // namespace lb::stages
