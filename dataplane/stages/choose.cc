#include "dataplane/stages/choose.h"

#include "dataplane/model/lookup.h"
#include "dataplane/net/hash.h"

namespace lb::stages {

void choose(Batch& b, const model::Snapshot& snapshot) noexcept {
  std::array<const uint16_t*, kBatch> entry;
  for (Slot i : b.unchosen()) {
    const Meta& m = b.meta[i];
    const lb_service& service = snapshot.services[m.service];
    const uint64_t hash = model::choice_hash(snapshot.hash_key, service, m.src, m.hash);
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
