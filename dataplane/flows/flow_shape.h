// What the makers of flow tables agree on: their size, and whether entries of another lbd can be found again.
#pragma once

#include <cstdint>

#include "dataplane/net/abi.h"

namespace lb::flows {

inline constexpr uint32_t kFlowLayout = 2;  // of line and record; another number is another format

// Lines of each worker's table: two and a quarter entries for a flow, so that 0.05 % find none at capacity and 0.1 %
// where a worker has an eighth more than its share. REQUIRES: workers is not 0.
uint32_t flow_lines(uint32_t flows, uint32_t workers) noexcept;

// A hash under the key, kept beside the tables: entries that were made with another key would never be found.
uint64_t key_check(const lb_hash_key& key) noexcept;

}  // namespace lb::flows
