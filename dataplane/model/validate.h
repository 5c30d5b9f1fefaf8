// Every rule that a whole Config must keep beyond its grammar; nothing is changed. Rules about single values (ranges,
// names) are here too, so that a Config built by commands (change.h) is held to the same ones as one read from text.
//   overlap      two listeners of the same kind (exact, range, any) that share an address, protocol and port
//   pool         of a service must exist
//   table-size   prime, 251..655373; at least as many slots as backends with weight > 0, and each of them gets one when
//                all are eligible
//   on-no-listener   the same in all services that share an address
//   ids          at most 65,535 backends and 16,384 services
//   dsr          the pool must have a backend of each listener's family (4->4, 6->6)
//   addresses    a backend's is no listener's, not multicast, loopback, unspecified, broadcast, IPv6 link-local, and
//                no two backends of a pool share one
//   names        [a-z0-9][a-z0-9._-]{0,62}; labels' too, with 1 to 253 bytes of printable text as value
//   daemon       engine dpdk or xdp; absolute paths; workers distinct, 1..64; ports 1..16 with distinct names and
//                devices; interfaces 1..16, distinct; only the chosen engine's section must be complete
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/model/config.h"

namespace lb::model {

struct Violation {
  std::string path;     // pools.fe.backends[2].weight: config_text.cc maps it to line and column
  std::string message;  // the sentence
  std::optional<std::string> missing_pool = {};  // the pool that a service names and that is not there
};

std::vector<Violation> validate(const Config& config);
// Without daemon: for changes of services and pools at run time.
std::vector<Violation> validate_services(const Config& config);

bool is_valid_name(std::string_view name) noexcept;
bool is_prime(uint32_t n) noexcept;
// Why that is no table size, with the nearest ones that are. REQUIRES: out of range or not prime.
std::string table_size_rule(uint32_t size);

}  // namespace lb::model
