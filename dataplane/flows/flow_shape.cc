#include "dataplane/flows/flow_shape.h"

#include <algorithm>

#include "dataplane/net/hash.h"

namespace lb::flows {

uint32_t flow_lines(uint32_t flows, uint32_t workers) noexcept {
  const uint64_t each = (uint64_t{flows} + workers - 1) / workers;
  return static_cast<uint32_t>(std::max<uint64_t>(16, (each * 9 + 31) / 32));
}

uint64_t key_check(const lb_hash_key& key) noexcept {
  return lb_source_hash6(&key, 0x6c6264, 0x666c6f7773);
}

}  // namespace lb::flows
