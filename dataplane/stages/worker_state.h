// What one worker owns. The worker writes, control reads counters relaxed (they are plain 64-bit stores of one writer).
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/net/abi.h"

namespace lb::stages {

// One writer: a relaxed load and store, no locked instruction; readers never see a torn value.
inline void bump(uint64_t& counter, uint64_t by) noexcept {
  __atomic_store_n(&counter, __atomic_load_n(&counter, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}
inline uint64_t peek(const uint64_t& counter) noexcept {
  return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}

struct WorkerState {
  WorkerState() : services(LB_MAX_SERVICES), backends(LB_MAX_BACKENDS + 1) {}
  alignas(64) uint64_t counters[LB_COUNT_MAX] = {};
  std::vector<lb_traffic> services;  // by ServiceIndex, allocated once; counted when the egress queue took the packet
  std::vector<lb_traffic> backends;  // by BackendId
};

}  // namespace lb::stages
