// The clock of the flow tables.
#pragma once

#include <time.h>

#include <cstdint>

namespace lb::flows {

// Milliseconds since boot, in steps of the kernel's tick (1 to 10 ms). No system call: the kernel maps it into every
// process.
inline uint64_t flow_clock_ms() noexcept {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace lb::flows
