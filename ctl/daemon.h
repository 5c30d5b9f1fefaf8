// The control plane as lbd runs it, in two steps, so that a second daemon is refused before it touches a device:
//   prepare_control()  claims the socket and the state folder, reads hash key and state
//   run_control()      compiles, publishes to the engine, serves the socket until SIGTERM or SIGINT
// Both on the same thread; from there on it is the control thread, and the only one that calls the engine.
#pragma once

#include <memory>
#include <string>

#include "dataplane/model/config.h"
#include "dataplane/model/engine.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

class Control {
 public:
  virtual ~Control() = default;  // removes the socket, gives up the claims
  // What runs: `daemon` of the file, services and pools of the state when there is one.
  virtual const model::Config& config() const = 0;
  virtual const lb_hash_key& hash_key() const = 0;
};

// config: the parsed file; config_path: the file, for drift and reload (SIGHUP).
// ERRORS: a live daemon's socket (names its pid), no permission, a newer state, a bad hash key...: sentences to print.
net::Result<std::unique_ptr<Control>> prepare_control(const model::Config& config, const std::string& config_path);

// Runs the event loop. REQUIRES: the engine's workers run; engine outlives the call. RETURNS: the exit status of lbd;
// what went wrong is logged.
int run_control(Control& control, model::Engine& engine);

}  // namespace lb::ctl
