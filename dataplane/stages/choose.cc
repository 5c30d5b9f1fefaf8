#include "dataplane/stages/choose.h"

#include "dataplane/net/hash.h"
#include "dataplane/net/hash_batch.h"

namespace lb::stages {
namespace {

using model::Snapshot;

uint32_t ports_of(const Meta& m) noexcept {
  return m.sport | static_cast<uint32_t>(m.dport) << 16;
}

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

// IPv4 tuples are gathered and hashed side by side; the others, one after the other, hide their latency in each other.
void hash_all(Batch& b, const Snapshot& s) noexcept {
  net::FlowWords4 words;
  std::array<uint64_t, kBatch> hashes;
  std::array<uint8_t, kBatch> owner;  // words' index -> batch slot
  uint32_t count = 0;
  for (Slot i : b.slots()) {
    Meta& m = b.meta[i];
    const lb_service& service = s.services[m.service];
    if (service.schedule == LB_SCHEDULE_SOURCE_HASH) {
      m.hash = source_hash(s.hash_key, m, service);
    } else if (m.family == 6) {
      m.hash = lb_flow_hash6(&s.hash_key, m.src.b, m.dst.b, ports_of(m), m.proto);
    } else {
      words.set(count, lb_load32(m.src.b + 12), lb_load32(m.dst.b + 12), ports_of(m), m.proto);
      owner[count++] = static_cast<uint8_t>(i);
    }
  }
  if (count == 0) return;
  net::hash_flows4(s.hash_key, words, count, hashes.data());
  for (uint32_t k = 0; k < count; k++) b.meta[owner[k]].hash = hashes[k];
}

}  // namespace

void choose(Batch& b, const Snapshot& snapshot) noexcept {
  hash_all(b, snapshot);
  std::array<const uint16_t*, kBatch> entry;
  for (Slot i : b.slots()) {
    const Meta& m = b.meta[i];
    const lb_service& service = snapshot.services[m.service];
    const uint32_t slot = lb_slot(m.hash, service.table_size);
    entry[i] = snapshot.table_slots[m.family == 4 ? service.table4 : service.table6] + slot;
    __builtin_prefetch(entry[i]);
    if (b.trace != nullptr) {
      b.trace[i].slot = slot;
      b.trace[i].hashed = true;
    }
  }
  for (Slot i : b.slots()) {
    const uint16_t id = *entry[i];
    b.meta[i].backend = id;
    if (id == 0)
      b.drop(i, LB_DROP_NoBackend);
    else
      __builtin_prefetch(&snapshot.backends[id]);
  }
}

}  // namespace lb::stages
