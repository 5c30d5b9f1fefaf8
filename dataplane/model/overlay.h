// What stands beside the configuration and outlives a change of it: who is drained or withdrawn, who is leaving, which
// pool a service used before. Durable with the revision, never printed in `config show`. Times are seconds since
// 1970-01-01 UTC, so that they mean the same after a restart.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/net/address.h"

namespace lb::model {

inline constexpr int64_t kLeaveAfterS = 15 * 60;

// A backend is who it is by all three: at a new address it is another one.
struct BackendKey {
  std::string pool, name;
  net::Address address;
  friend auto operator<=>(const BackendKey&, const BackendKey&) = default;
};

struct BackendName {
  std::string pool, name;
  std::string text() const { return pool + '/' + name; }
  friend auto operator<=>(const BackendName&, const BackendName&) = default;
};

// Drain of a backend: no new flows, keeps what it has. Withdrawal of a service, drain of the node: addresses are not
// announced, packets that come are forwarded. An operator's, until it is taken back or expires.
struct Override {
  uint32_t uid = 0;
  std::string login_uid, reason;
  int64_t since = 0, expires = 0;  // expires 0: never
  friend bool operator==(const Override&, const Override&) = default;
};

// Removed from its pool, or given another address: keeps its flows until they end or the time is over.
struct Leaving {
  int64_t since = 0, until = 0;
  friend bool operator==(const Leaving&, const Leaving&) = default;
};

// The pool that a service used before keeps its flows, as long as leaving backends do.
struct FormerPool {
  std::string pool;
  int64_t until = 0;
  friend bool operator==(const FormerPool&, const FormerPool&) = default;
};

struct Overlay {
  std::map<BackendName, Override> drained;
  std::map<BackendKey, Leaving> leaving;
  std::map<std::string, FormerPool> former_pools;  // by service
  std::map<std::string, Override> withdrawn;       // by service
  std::optional<Override> node_drain;
  bool empty() const {
    return drained.empty() && leaving.empty() && former_pools.empty() && withdrawn.empty() && !node_drain;
  }
  friend bool operator==(const Overlay&, const Overlay&) = default;
};

// What the overlay becomes when `from` is replaced by `to` at `now`: what was removed leaves, what came back stays,
// overrides of backends that are gone are forgotten, a service that got another pool remembers its former one.
Overlay carry(Overlay overlay, const Config& from, const Config& to, int64_t now, int64_t leave_after = kLeaveAfterS);

// Takes out what is over at `now`, and what no service can have flows of. RETURNS: a sentence for each override and
// backend whose time was over.
std::vector<std::string> expire(Overlay& overlay, const Config& config, int64_t now);

// Of the configuration's backends and of those that are leaving: where flows may still go.
std::vector<net::Address> backend_addresses(const Config& config, const Overlay& overlay);

// Over pool, name and address; never 0. What a directory of backend ids keeps.
uint64_t digest_of(const BackendKey& key);

}  // namespace lb::model
