// Short samples of many kinds of work, one of each in turn, on a machine that others use too: a sample during which the
// thread was preempted, or stood still for longer than an interrupt takes, is thrown away.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/bench/works.h"

namespace lb::bench {

// Cycles of the time stamp counter in a nanosecond, measured over 20 ms at the first call.
double cycles_per_ns();

// Nanoseconds a packet over `batches` batches after a quarter as many that are not counted; nothing when it was
// disturbed.
std::optional<double> sample(Work& work, uint32_t batches);

// Batches that take about `ms`.
uint32_t batches_for(Work& work, double ms);

struct Spread {
  double low = 0, median = 0, high = 0;  // quartiles
  size_t samples = 0;
};
Spread spread_of(std::vector<double> values);

}  // namespace lb::bench
