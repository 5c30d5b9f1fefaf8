// Names and help of every counter, from the one list in net/abi.h.
#pragma once

#include <span>
#include <string_view>

#include "dataplane/net/abi.h"

namespace lb::model {

struct CounterInfo {
  lb_counter id;
  std::string_view name;  // snake_case: JSON, CLI, docs
  std::string_view help;
  bool is_drop;
};

std::span<const CounterInfo> counters() noexcept;  // LB_COUNT_MAX of them, indexed by id
const CounterInfo& counter(lb_counter id) noexcept;

}  // namespace lb::model
