// `lbctl port list|show|bind|confirm|unbind`. What lbd says of its ports, and what the machine says of its NICs; a NIC
// is moved without lbd. The machine comes from outside, so that tests move none.
#pragma once

#include "ctl/command.h"
#include "ctl/nic_record.h"

namespace lb::ctl {

// Of lbctl, not of lbd: /run/lbd may go when lbd is stopped.
inline constexpr const char* kMovedFolder = "/run/lbctl/ports";
inline constexpr const char* kConfigPath = "/etc/lbd/lbd.yaml";

struct PortTools {
  NicHost& host;
  NicRecords records{kMovedFolder};
  std::string config = kConfigPath;  // where the names of ports are looked up
};

// tools outlives the app's parsing and the session's action.
void add_port_commands(CLI::App& app, Session& session, PortTools& tools);
// The part of it that moves NICs.
void add_port_move_commands(CLI::App& noun, Session& session, PortTools& tools);

}  // namespace lb::ctl
