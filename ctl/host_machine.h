// The machine that lbctl runs on, for host::check_host().
#pragma once

#include "dataplane/host/host_check.h"

namespace lb::ctl {

// Without xdp_use, which is for the composition root to set.
host::Machine this_machine();

}  // namespace lb::ctl
