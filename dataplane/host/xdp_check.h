// check_host() for engine xdp.
#pragma once

#include <vector>

#include "dataplane/host/host_check.h"

namespace lb::host {

std::vector<Finding> check_xdp_host(const model::Daemon& daemon, const Machine& machine);

}  // namespace lb::host
