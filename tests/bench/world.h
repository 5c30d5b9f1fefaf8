// What the bench forwards: services and backends of one family, compiled as the daemon would. The same key and the same
// numbers of backends for both forward modes, so that flows tracked with one snapshot are known with the other.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/model/snapshot.h"
#include "dataplane/net/result.h"

namespace lb::bench {

inline constexpr lb_hash_key kKey{0x0123456789abcdefull, 0xfedcba9876543210ull};
inline constexpr uint32_t kBackends = 100;
inline constexpr uint32_t kService4 = 0xc6120000u;  // 198.18.0.0, host order; service s has address + s
inline constexpr std::string_view kService6 = "2001:db8:5::";

struct World {
  uint8_t family = 4;
  uint32_t services = 1;
  std::shared_ptr<const model::Snapshot> dsr, ipip;
};

// Ends the program with a sentence.
[[noreturn]] void die(const std::string& sentence);
template <class T>
T must(net::Result<T> r) {
  if (!r) die(r.error().message);
  return std::move(r).value();
}

World make_world(uint8_t family, uint32_t services);

}  // namespace lb::bench
