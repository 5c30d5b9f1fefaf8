// What many samples come to, and the clock they are taken by.
#pragma once

#include <cstddef>
#include <vector>

namespace lb::bench {

// Cycles of the time stamp counter in a nanosecond, measured over 20 ms at the first call.
double cycles_per_ns();

struct Spread {
  double low = 0, median = 0, high = 0;  // quartiles
  size_t samples = 0;
};
Spread spread_of(std::vector<double> values);

}  // namespace lb::bench
