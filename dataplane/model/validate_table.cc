#include <fmt/format.h>

#include <algorithm>

#include "dataplane/model/maglev.h"
#include "dataplane/model/text_rules.h"
#include "dataplane/model/validate_parts.h"
#include "dataplane/net/abi.h"

namespace lb::model {
namespace {

// Shares are exact to about a slot, so a backend whose exact share is this many slots has one.
constexpr uint64_t kSafeShare = 4;

std::vector<MaglevBackend> weighted(const Pool& pool) {
  std::vector<MaglevBackend> out;
  for (const Backend& b : pool.backends)
    if (b.weight > 0) out.push_back({.address = b.address, .weight = b.weight});
  std::sort(out.begin(), out.end(),
            [](const MaglevBackend& a, const MaglevBackend& b) { return a.address < b.address; });
  return out;
}

uint32_t next_prime(uint32_t n) {
  while (!is_prime(n)) ++n;
  return n;
}

uint32_t previous_prime(uint32_t n) {
  while (!is_prime(n)) --n;
  return n;
}

bool all_have_slots(const std::vector<MaglevBackend>& backends, uint32_t size) {
  return backends.size() <= size && min_slots(backends, size) > 0;
}

// The smallest prime above `size` in which all have slots; 0: none up to the largest. Whether a backend has had its
// first turn depends on how many turns there were, so more slots never take it away and bisection is right.
uint32_t smallest_fitting(const std::vector<MaglevBackend>& backends, uint32_t size) {
  uint32_t low = size;  // does not fit
  uint32_t high = next_prime(std::max<uint32_t>(size + 1, static_cast<uint32_t>(backends.size())));
  while (high <= kMaxTableSize && !all_have_slots(backends, high)) {
    low = high;
    if (high == kMaxTableSize) return 0;
    high = std::min(kMaxTableSize, next_prime(high * 2));
  }
  if (high > kMaxTableSize) return 0;
  while (true) {
    const uint32_t middle = next_prime(low + (high - low) / 2);
    if (middle >= high) break;
    (all_have_slots(backends, middle) ? high : low) = middle;
  }
  for (uint32_t p = next_prime(low + 1); p < high; p = next_prime(p + 1))
    if (all_have_slots(backends, p)) return p;
  return high;
}

// The name of the backend that goes without.
const Backend& slotless(const Pool& pool, const std::vector<MaglevBackend>& backends, uint32_t size) {
  std::vector<MaglevEntry> entries;
  for (const MaglevBackend& b : backends) entries.push_back(maglev_entry(b.address, b.port, b.weight, size));
  std::vector<uint32_t> slots(entries.size());
  for (const uint16_t i : fill_maglev(entries, size)) ++slots[i];
  const auto at = std::min_element(slots.begin(), slots.end()) - slots.begin();
  const Address& address = backends[static_cast<size_t>(at)].address;
  return *std::find_if(pool.backends.begin(), pool.backends.end(),
                       [&](const Backend& b) { return b.address == address; });
}

std::string remedy(const std::vector<MaglevBackend>& backends, uint32_t size) {
  const uint32_t fitting = smallest_fitting(backends, size);
  if (fitting == 0) return "no table-size is enough: raise the smallest weight, or lower the others";
  return fmt::format("raise table-size to at least {}, or the weight", fitting);
}

std::string judge(const Pool& pool, uint32_t size) {
  const std::vector<MaglevBackend> backends = weighted(pool);
  if (backends.empty() || backends.size() > LB_MAX_BACKENDS) return {};  // too many: another rule tells
  if (backends.size() > size)
    return fmt::format("{} slots are too few for pool {}: it has {} backends with weight; {}", grouped(size), pool.name,
                       grouped(backends.size()), remedy(backends, size));
  uint64_t sum = 0;
  uint32_t least = kMaxWeight;
  for (const MaglevBackend& b : backends) {
    sum += b.weight;
    least = std::min(least, b.weight);
  }
  if (static_cast<uint64_t>(size) * least >= kSafeShare * sum) return {};
  if (min_slots(backends, size) > 0) return {};
  const Backend& loser = slotless(pool, backends, size);
  return fmt::format("{} slots are too few for pool {}: backend {} (weight {} of {}) would get none; {}", grouped(size),
                     pool.name, loser.name, loser.weight, grouped(sum), remedy(backends, size));
}

}  // namespace

bool is_prime(uint32_t n) noexcept {
  if (n < 2 || (n % 2 == 0 && n != 2)) return false;
  for (uint64_t d = 3; d * d <= n; d += 2)
    if (n % d == 0) return false;
  return true;
}

std::string table_size_rule(uint32_t size) {
  if (size < kMinTableSize || size > kMaxTableSize)
    return fmt::format("table-size {} is out of range: it must be a prime from {} to {}", size, kMinTableSize,
                       kMaxTableSize);
  return fmt::format("table-size {} is no prime, so backends would miss slots: write {} or {}", size,
                     previous_prime(size), next_prime(size));
}

std::string TableRule::why_too_small(const Pool& pool, uint32_t size) {
  const auto [it, is_new] = known_.try_emplace({&pool, size});
  if (is_new) it->second = judge(pool, size);
  return it->second;
}

}  // namespace lb::model
