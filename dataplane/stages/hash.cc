#include "dataplane/stages/hash.h"

#include "dataplane/net/hash.h"
#include "dataplane/net/hash_batch.h"

namespace lb::stages {
namespace {

uint32_t ports_of(const Meta& m) noexcept {
  return m.sport | static_cast<uint32_t>(m.dport) << 16;
}

}  // namespace

// IPv4 tuples are gathered and hashed side by side; the others, one after the other, hide their latency in each other.
void hash_flows(Batch& b, const model::Snapshot& snapshot) noexcept {
  net::FlowWords4 words;
  std::array<uint64_t, kBatch> hashes;
  std::array<uint8_t, kBatch> owner;  // words' index -> batch slot
  uint32_t count = 0;
  for (Slot i : b.slots()) {
    Meta& m = b.meta[i];
    if (m.family == 6) {
      m.hash = lb_flow_hash6(&snapshot.hash_key, m.src.b, m.dst.b, ports_of(m), m.proto);
    } else {
      words.set(count, lb_load32(m.src.b + 12), lb_load32(m.dst.b + 12), ports_of(m), m.proto);
      owner[count++] = static_cast<uint8_t>(i);
    }
  }
  if (count == 0) return;
  net::hash_flows4(snapshot.hash_key, words, count, hashes.data());
  for (uint32_t k = 0; k < count; k++) b.meta[owner[k]].hash = hashes[k];
}

}  // namespace lb::stages
