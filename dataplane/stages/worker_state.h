// What one worker owns. The worker writes, control reads counters relaxed (they are plain 64-bit stores of one writer).
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/net/abi.h"

namespace lb::stages {

// One writer: a relaxed load and store, no locked instruction; readers never see a torn value. T: uint64_t, or __u64 of
// lb_traffic, which is another type of the same size.
template <class T>
inline void bump(T& counter, uint64_t by) noexcept {
  static_assert(sizeof(T) == 8);
  __atomic_store_n(&counter, __atomic_load_n(&counter, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}
template <class T>
inline uint64_t peek(const T& counter) noexcept {
  static_assert(sizeof(T) == 8);
  return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}

// Where a worker counts: into a WorkerState, or into memory that others look at too.
struct Tally {
  uint64_t* counters;    // LB_COUNT_MAX
  lb_traffic* services;  // by ServiceIndex
  lb_traffic* backends;  // by BackendId
};

struct WorkerState {
  WorkerState() : services(LB_MAX_SERVICES), backends(LB_MAX_BACKENDS + 1) {}
  alignas(64) uint64_t counters[LB_COUNT_MAX] = {};
  std::vector<lb_traffic> services;  // by ServiceIndex, allocated once; counted when the egress queue took the packet
  std::vector<lb_traffic> backends;  // by BackendId

  Tally tally() noexcept { return {counters, services.data(), backends.data()}; }
};

}  // namespace lb::stages
