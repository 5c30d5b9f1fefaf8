#include "tests/bench/samples.h"

#include <sys/resource.h>
#include <x86intrin.h>

#include <algorithm>
#include <thread>

namespace lb::bench {
namespace {

constexpr double kLongestGapNs = 40'000;  // a batch takes 2 to 8 µs, an interrupt a few more

long switches() {
  rusage usage = {};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw + usage.ru_nvcsw;
}

}  // namespace

std::optional<double> sample(Work& work, uint32_t batches) {
  const auto longest = static_cast<uint64_t>(kLongestGapNs * cycles_per_ns());
  for (uint32_t i = 0; i < batches / 4; i++) work.batch();
  std::this_thread::yield();  // whoever waits for the core gets it now, not in the sample
  const long before = switches();
  const uint64_t start = __rdtsc();
  uint64_t last = start, gap = 0;
  for (uint32_t i = 0; i < batches; i++) {
    work.batch();
    const uint64_t now = __rdtsc();
    gap = std::max(gap, now - last);
    last = now;
  }
  if (gap > longest || switches() != before) return std::nullopt;
  return static_cast<double>(last - start) / cycles_per_ns() / (static_cast<double>(batches) * stages::kBatch);
}

uint32_t batches_for(Work& work, double ms) {
  const uint64_t start = __rdtsc();
  constexpr uint32_t kTrial = 100;
  for (uint32_t i = 0; i < kTrial; i++) work.batch();
  const double one = static_cast<double>(__rdtsc() - start) / cycles_per_ns() / kTrial;
  return static_cast<uint32_t>(std::clamp(ms * 1e6 / one, 20.0, 2000.0));
}

}  // namespace lb::bench
