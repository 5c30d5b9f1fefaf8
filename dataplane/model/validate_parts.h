// The rules of validate.h that have files of their own: the daemon's settings, the sizes of tables.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/model/validate.h"

namespace lb::model {

std::string name_rule(std::string_view what, std::string_view name);

std::vector<Violation> validate_daemon(const Daemon& daemon);

// Whether every backend with weight gets a slot when all are eligible. Remembers what it found for a pool and size,
// since hundreds of services share a pool.
class TableRule {
 public:
  // Empty: none. REQUIRES: size prime and in range; the pool's backends have addresses and weights in range, and the
  // pool outlives this.
  std::string why_too_small(const Pool& pool, uint32_t size);

 private:
  std::map<std::pair<const Pool*, uint32_t>, std::string> known_;
};

}  // namespace lb::model
