// Short samples of many kinds of work, one of each in turn, on a machine that others use too: a sample during which the
// thread was preempted, or stood still for longer than an interrupt takes, is thrown away.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/bench/spread.h"
#include "tests/bench/works.h"

namespace lb::bench {

// Nanoseconds a packet over `batches` batches after a quarter as many that are not counted; nothing when it was
// disturbed.
std::optional<double> sample(Work& work, uint32_t batches);

// Batches that take about `ms`.
uint32_t batches_for(Work& work, double ms);

}  // namespace lb::bench
