// What a change may not do unless the operator says so: each refusal states the number and names the flag that carries
// it. Pure.
#pragma once

#include <string>
#include <vector>

#include "ctl/controller.h"

namespace lb::ctl {

struct GuardedChange {
  const model::Config &from, &to;
  const model::Snapshot &before, &after;
  const model::Overlay& overlay;  // with the change
  const std::vector<model::Change>& changes;
  const std::vector<model::BackendName>& drained;  // by this change
  const Forecast& forecast;
  std::vector<bool> busy;  // by service index of before: packets were counted
};

// Sentences; none when all is allowed.
std::vector<std::string> guard(const GuardedChange& change, const ChangeOptions& options);

}  // namespace lb::ctl
