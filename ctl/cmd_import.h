// lbctl config import FORMAT FILE
#pragma once

#include "ctl/command.h"

namespace lb::ctl {

void add_import_command(CLI::App& config, Session& session);

}  // namespace lb::ctl
