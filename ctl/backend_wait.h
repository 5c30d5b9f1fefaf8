// Waiting for backends to lose their flows: the daemon is asked again and again, so that lbctl can be interrupted and
// the daemon remembers nobody who waits.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "ctl/command.h"

namespace lb::ctl {

enum class Until : uint8_t {
  kDrained,    // no live flow, or none that was active lately
  kRemovable,  // that, and no new flows either: drained, leaving, weight 0
};

struct WaitFor {
  Until until = Until::kDrained;
  std::optional<uint64_t> idle_s;  // a flow without packets for so long does not count
  uint64_t timeout_s = 300;
};

// select: as in backend.list. RETURNS: the exit code; talk is on stderr, an answer is left to the caller.
int wait_for(Session& session, const nlohmann::json& select, const WaitFor& what);

}  // namespace lb::ctl
