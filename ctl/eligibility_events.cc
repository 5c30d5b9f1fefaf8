#include "ctl/eligibility_events.h"

#include <map>
#include <string>
#include <utility>

#include "ctl/log.h"

namespace lb::ctl {
namespace {

using model::BackendState;
using model::Snapshot;

// A rack that goes down is hundreds of backends and thousands of services: the first ones tell what happens.
constexpr size_t kMostTold = 50;

void tell_backends(const Snapshot& before, const Snapshot& after) {
  std::map<std::pair<std::string_view, std::string_view>, const BackendState*> known;
  for (const BackendState& s : before.backend_states) known[{s.pool, s.name}] = &s;
  size_t told = 0, more = 0;
  for (const BackendState& now : after.backend_states) {
    const auto was = known.find({now.pool, now.name});
    if (was == known.end() || was->second->why_not_ipip == now.why_not_ipip) continue;
    if (told++ >= kMostTold) {
      more++;
      continue;
    }
    const bool good = now.why_not_ipip.empty();
    log(good ? LogLevel::kInfo : LogLevel::kWarning, good ? "backend_eligible" : "backend_not_eligible",
        {{"pool", now.pool}, {"backend", now.name}, {"why", now.why_not_ipip}});
  }
  if (more > 0) log(LogLevel::kWarning, "more_backends", {{"backends", more}});
}

size_t at(const std::vector<size_t>& counts, size_t index) {
  return index < counts.size() ? counts[index] : 0;
}

void tell_services(const Snapshot& before, const std::vector<size_t>& eligible_before, const Snapshot& after,
                   const std::vector<size_t>& eligible_after) {
  size_t told = 0, more = 0;
  for (size_t i = 0; i < after.service_names.size(); i++) {
    const std::string& name = after.service_names[i];
    // An index that had another owner is a new service's, which nobody compares with anything.
    if (name.empty() || i >= before.service_names.size() || before.service_names[i] != name) continue;
    const size_t was = at(eligible_before, i), now = at(eligible_after, i);
    if (was == now) continue;
    if (told++ >= kMostTold) {
      more++;
      continue;
    }
    log(now == 0 ? LogLevel::kError : LogLevel::kInfo, "service_eligible",
        {{"service", name}, {"eligible", now}, {"before", was}});
  }
  if (more > 0) log(LogLevel::kInfo, "more_services", {{"services", more}});
}

}  // namespace

void tell_eligibility(const Snapshot& before, const std::vector<size_t>& eligible_before, const Snapshot& after,
                      const std::vector<size_t>& eligible_after) {
  tell_backends(before, after);
  tell_services(before, eligible_before, after, eligible_after);
}

}  // namespace lb::ctl
