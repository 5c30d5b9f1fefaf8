#include "dataplane/model/counters.h"

#include <array>

namespace lb::model {
namespace {

constexpr std::array<CounterInfo, LB_COUNT_MAX> kCounters = {{
#define X(id, name, help) {LB_COUNT_##id, name, help, LB_COUNT_##id >= LB_DROP_FIRST && LB_COUNT_##id <= LB_DROP_LAST},
    LB_COUNTERS(X)
#undef X
}};

}  // namespace

std::span<const CounterInfo> counters() noexcept {
  return kCounters;
}

const CounterInfo& counter(lb_counter id) noexcept {
  return kCounters[id];
}

}  // namespace lb::model
