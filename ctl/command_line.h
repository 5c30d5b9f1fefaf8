// The words of lbctl: global options, nouns, verbs; from argv to an exit code. Catches what CLI11 throws.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ctl/command.h"

namespace lb::ctl {

// Commands that ctl/ cannot bring itself: added by the composition root (decap).
using AddCommands = std::function<void(CLI::App& app, Session& session)>;

// Every command and option. REQUIRES: session outlives it.
std::unique_ptr<CLI::App> make_command_line(Session& session, const std::vector<AddCommands>& more);

// args: without the program's name. RETURNS: the exit code (enum Exit).
int run_command_line(const std::vector<std::string>& args, Streams streams, const std::vector<AddCommands>& more = {});

}  // namespace lb::ctl
