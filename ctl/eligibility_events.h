// What two snapshots say differently of who may get new flows, as events. Control thread only.
#pragma once

#include <cstddef>
#include <vector>

#include "dataplane/model/snapshot.h"

namespace lb::ctl {

// eligible_*: backends by service index, of each snapshot.
void tell_eligibility(const model::Snapshot& before, const std::vector<size_t>& eligible_before,
                      const model::Snapshot& after, const std::vector<size_t>& eligible_after);

}  // namespace lb::ctl
