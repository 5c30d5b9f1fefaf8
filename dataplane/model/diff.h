// The changes that make `from` into `to`, in an order that can be applied one after another (pools before the services
// that need them, services before the pools they leave), and what an operator reads of them.
#pragma once

#include <string>
#include <vector>

#include "dataplane/model/change.h"
#include "dataplane/model/config.h"

namespace lb::model {

struct Diff {
  std::vector<Change> changes;  // services and pools; apply(from, changes) == to, but for daemon
  std::vector<std::string>
      lines;  // "+ service web ...", "- backend fe/fe11 ...", "~ backend fe/fe12: weight 50 -> 100"
  std::vector<std::string> restart;  // daemon keys that differ: "daemon.dpdk.workers: needs restart"
  size_t services_removed = 0;       // for the guard
  bool empty() const noexcept { return changes.empty() && restart.empty(); }
};

Diff diff(const Config& from, const Config& to);

}  // namespace lb::model
