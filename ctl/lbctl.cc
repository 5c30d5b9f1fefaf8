// lbctl: the command line of lbd. Composition root: the client half of ctl/; from xdp/ decapsulation, which needs
// no lbd on the server where it works, and what an XDP engine leaves behind; the machine whose NICs become ports.
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "ctl/cmd_decap.h"
#include "ctl/cmd_engine.h"
#include "ctl/cmd_port.h"
#include "ctl/command_line.h"
#include "ctl/nic_host.h"
#include "xdp/decap.h"
#include "xdp/interface.h"
#include "xdp/maps.h"
#include "xdp/orphan.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const bool colour = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  const auto decap = lb::xdp::decapsulation();
  const auto orphans = lb::xdp::orphans();
  lb::ctl::LinuxHost host;
  lb::ctl::PortTools tools{host};
  return lb::ctl::run_command_line(
      {argv + 1, argv + argc}, {std::cin, std::cout, std::cerr, colour},
      {[](CLI::App&, lb::ctl::Session& session) {
         session.machine.xdp_use = lb::xdp::xdp_use;
         session.machine.why_no_xdp = lb::xdp::why_no_xdp;
       },
       [&](CLI::App& app, lb::ctl::Session& session) { lb::ctl::add_port_commands(app, session, tools); },
       [&](CLI::App& app, lb::ctl::Session& session) { lb::ctl::add_engine_commands(app, session, *orphans); },
       [&](CLI::App& app, lb::ctl::Session& session) { lb::ctl::add_decap_commands(app, session, *decap); }});
}
