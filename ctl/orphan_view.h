// What an XDP engine without a daemon does, for people and for scripts. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "dataplane/model/orphan.h"

namespace lb::ctl {

// In the shape of engine.show, as far as it is known without a daemon.
nlohmann::json to_json(const model::OrphanState& state);

// One sentence for whoever asked something else and found no daemon. Empty: an lbd lives, or nothing of it forwards.
std::string still_forwards(const model::OrphanState& state);

}  // namespace lb::ctl
