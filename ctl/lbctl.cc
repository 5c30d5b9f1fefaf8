// lbctl: the command line of lbd. Composition root: the client half of ctl/ and decapsulation from xdp/, which needs no
// lbd on the server where it works.
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "ctl/cmd_decap.h"
#include "ctl/command_line.h"
#include "xdp/decap.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const bool colour = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  const auto decap = lb::xdp::decapsulation();
  return lb::ctl::run_command_line(
      {argv + 1, argv + argc}, {std::cin, std::cout, std::cerr, colour},
      {[&](CLI::App& app, lb::ctl::Session& session) { lb::ctl::add_decap_commands(app, session, *decap); }});
}
