// Every rule that a whole Config must keep beyond its grammar; nothing is changed. Rules about single values (ranges,
// names) are here too, so that a Config built by commands (change.h) is held to the same ones as one read from text.
//   overlap      two listeners of the same kind (exact, range, any) that share an address, protocol and port
//   pool         of a service must exist
//   table-size   prime, 251..655373; every backend with weight > 0 gets a slot when all are eligible; at least as many
//   slots as backends ids          at most 65,535 backends, 16,384 services dsr          a backend's family must be
//   that of the listeners (4->4, 6->6): refused when none of the pool fits a listener address      a backend's address
//   is no listener's, not multicast, loopback, unspecified, broadcast name         [a-z0-9][a-z0-9._-]{0,62} daemon
//   engine dpdk; workers distinct, 1..64; ports 1..16 with distinct names and devices
#pragma once

#include <string>
#include <vector>

#include "dataplane/model/config.h"

namespace lb::model {

struct Violation {
  std::string path;     // pools.fe.backends[2].weight: config_text.cc maps it to line and column
  std::string message;  // the sentence
};

std::vector<Violation> validate(const Config& config);
// Without daemon: for changes of services and pools at run time.
std::vector<Violation> validate_services(const Config& config);

bool is_valid_name(std::string_view name) noexcept;
bool is_prime(uint32_t n) noexcept;

}  // namespace lb::model
