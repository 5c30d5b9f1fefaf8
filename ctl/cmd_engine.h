// `lbctl engine show|detach`: what moves the packets, with a daemon and, for what an XDP engine leaves behind, without
// one. How that is found comes from outside (model/orphan.h), since ctl/ knows no BPF.
#pragma once

#include "ctl/command.h"
#include "dataplane/model/orphan.h"

namespace lb::ctl {

// Every command of the session that finds no daemon tells then, too, what still forwards. orphans outlives the app's
// parsing and the session's action.
void add_engine_commands(CLI::App& app, Session& session, model::Orphans& orphans);

}  // namespace lb::ctl
