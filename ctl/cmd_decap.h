// `lbctl decap attach|detach|show INTERFACE`: decapsulation on a backend server. Asks no daemon: the kernel keeps what
// is attached. How that is done comes from outside (model/decap.h), since ctl/ knows no BPF.
#pragma once

#include "ctl/command.h"
#include "dataplane/model/decap.h"

namespace lb::ctl {

// decap outlives the app's parsing and the session's action.
void add_decap_commands(CLI::App& app, Session& session, model::Decapsulation& decap);

}  // namespace lb::ctl
