#include "tests/bench/spread.h"

#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lb::bench {
namespace {

using Clock = std::chrono::steady_clock;

double measure_clock() {
  const auto start = Clock::now();
  const uint64_t first = __rdtsc();
  while (Clock::now() - start < std::chrono::milliseconds(20)) {
  }
  const uint64_t last = __rdtsc();
  return static_cast<double>(last - first) / std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

}  // namespace

double cycles_per_ns() {
  static const double rate = measure_clock();
  return rate;
}

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {.low = at(0.25), .median = at(0.5), .high = at(0.75), .samples = values.size()};
}

}  // namespace lb::bench
