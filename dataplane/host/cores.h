// CPU cores: those of the machine, those that this process may run on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/net/result.h"

namespace lb::host {

// Cores that this process may run on, as it was started. 0-based, sorted.
std::vector<uint32_t> allowed_cores();
// Cores that are switched on. Empty: sysfs does not tell.
std::vector<uint32_t> online_cores(const std::string& sysfs);
// "0-1,4"
std::string cores_text(const std::vector<uint32_t>& cores);

// Why a worker cannot have the core.
std::string no_such_core(uint32_t core, const std::vector<uint32_t>& there);
std::string core_not_allowed(uint32_t core, const std::vector<uint32_t>& allowed);

// ERRORS: kInvalid with the core, the rule and what there is.
net::Status check_cores(const std::vector<uint32_t>& workers);

}  // namespace lb::host
