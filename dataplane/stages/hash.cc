#include "dataplane/stages/hash.h"

#include "dataplane/net/hash.h"
#include "dataplane/net/hash_batch.h"

namespace lb::stages {
namespace {

uint32_t ports_of(const Meta& m) noexcept {
  return m.sport | static_cast<uint32_t>(m.dport) << 16;
}

using Hashes = std::array<uint64_t, kBatch>;

// Side by side and back.
template <class Words, class Set>
void hash_gathered(Batch& b, const lb_hash_key& key, uint64_t slots, const Set& set) noexcept {
  Words words{};
  Hashes hashes;
  uint32_t count = 0;
  for (Slot i : Bits(slots)) set(words, count++, b.meta[i]);
  net::hash_flows(key, words, count, hashes.data());
  count = 0;
  for (Slot i : Bits(slots)) b.meta[i].hash = hashes[count++];
}

}  // namespace

void hash_flows(Batch& b, const model::Snapshot& snapshot) noexcept {
  const lb_hash_key& key = snapshot.hash_key;
  // Those of other slots among them, so that lanes are full.
  if (b.usual.slots != 0)
    net::hash_flows(key, b.usual.tuple, (64 - static_cast<uint32_t>(__builtin_clzll(b.usual.slots)) + 7) & ~7u,
                    b.usual.hash.data());
  uint64_t ipv4 = 0, ipv6 = 0;
  for (Slot i : Bits(b.live & ~b.usual.slots)) (b.meta[i].family == 4 ? ipv4 : ipv6) |= 1ull << i;
  if (ipv4 != 0)
    hash_gathered<net::FlowWords4>(b, key, ipv4, [](net::FlowWords4& w, uint32_t k, const Meta& m) {
      w.set(k, lb_load32(m.src.b + 12), lb_load32(m.dst.b + 12), ports_of(m), m.proto);
    });
  if (ipv6 != 0)
    hash_gathered<net::FlowWords6>(b, key, ipv6, [](net::FlowWords6& w, uint32_t k, const Meta& m) {
      w.set(k, m.src.b, m.dst.b, ports_of(m), m.proto);
    });
}

}  // namespace lb::stages
