#include "dataplane/stages/listener.h"

#include <cstring>

#include "dataplane/net/headers.h"

namespace lb::stages {
namespace {

using model::Snapshot;

struct Found {
  uint32_t service = LB_NO_SERVICE;
  uint32_t listener = UINT32_MAX;
};

uint32_t slot_of(const Snapshot& s, uint32_t hash) noexcept {
  return hash & static_cast<uint32_t>(s.listeners.size() - 1);
}

// REQUIRES: the table is not empty.
Found find_exact(const Snapshot& s, const Meta& m, uint32_t hash) noexcept {
  for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
    const lb_listener_slot& l = s.listeners[slot_of(s, hash + probe)];
    if (l.proto == 0) break;
    if (l.port == m.dport && l.proto == m.proto && std::memcmp(&l.addr, &m.dst, sizeof l.addr) == 0)
      return {l.service, l.listener};
  }
  return {};
}

Found find_range(const Snapshot& s, const Meta& m) noexcept {
  const lb_address_slot& a = s.addresses[m.address];
  const uint16_t port = lb_ntohs(m.dport);
  for (uint32_t k = a.range_start; k < a.range_start + a.range_count; k++) {
    const lb_port_range& r = s.ranges[k];
    if (r.proto == m.proto && r.first <= port && port <= r.last) return {r.service, r.listener};
  }
  return {};
}

void nobody_listens(Batch& b, Slot i, const Snapshot& s) noexcept {
  const uint8_t flags = s.addresses[b.meta[i].address].flags;
  if ((flags & LB_ADDR_KERNEL) != 0) return b.punt_owned(i);
  if ((flags & LB_ADDR_REJECT) != 0) return b.refuse(i, LB_DROP_NoListener);
  b.drop(i, LB_DROP_NoListener);
}

}  // namespace

void find_listener(Batch& b, const Snapshot& snapshot) noexcept {
  const bool exact = !snapshot.listeners.empty();
  std::array<uint32_t, kBatch> hash;
  for (Slot i : b.unparsed()) {
    const Meta& m = b.meta[i];
    hash[i] = lb_listener_hash(lb_address_hash(&m.dst), m.dport, m.proto);
    if (exact) __builtin_prefetch(&snapshot.listeners[slot_of(snapshot, hash[i])]);
  }
  for (Slot i : b.unparsed()) {
    Meta& m = b.meta[i];
    Found found = exact ? find_exact(snapshot, m, hash[i]) : Found{};
    if (found.service == LB_NO_SERVICE) found = find_range(snapshot, m);
    if (found.service == LB_NO_SERVICE) {
      nobody_listens(b, i, snapshot);
      continue;
    }
    m.service = found.service;
    __builtin_prefetch(&snapshot.services[m.service]);
    if (b.trace != nullptr) b.trace[i].listener = found.listener;
  }
}

}  // namespace lb::stages
