// The verbs of `lbctl config` that speak of revisions.
#pragma once

#include "ctl/command.h"

namespace lb::ctl {

void add_history_verbs(CLI::App& noun, Session& session);

}  // namespace lb::ctl
