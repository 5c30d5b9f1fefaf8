// Changes of services and pools as values. A command makes changes, `config apply` makes the changes between two
// configurations, and both go the same way: apply() to a copy, validate, compile, publish.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/net/result.h"

namespace lb::model {

struct AddService {
  Service service;
};
struct SetService {  // only what is set changes
  std::string name;
  std::optional<std::vector<Listener>> listen = {};
  std::optional<std::string> pool = {};
  std::optional<Forward> forward = {};
  std::optional<Schedule> schedule = {};
  std::optional<uint32_t> table_size = {};
  std::optional<uint8_t> prefix4 = {}, prefix6 = {};
  std::optional<NoListener> on_no_listener = {};
  std::optional<Announce> announce = {};
};
struct RemoveService {
  std::string name;
};
struct AddPool {
  Pool pool;
};
struct RemovePool {
  std::string name;
};  // refused while a service uses it
struct AddBackend {
  std::string pool;
  Backend backend;
};
struct SetBackend {
  std::string pool, name;
  std::optional<Address> address = {};
  std::optional<uint32_t> weight = {};
  std::optional<std::map<std::string, std::string>> labels = {};
};
struct RemoveBackend {
  std::string pool, name;
};

using Change =
    std::variant<AddService, SetService, RemoveService, AddPool, RemovePool, AddBackend, SetBackend, RemoveBackend>;

// Pure. ERRORS: kNotFound, kExists, kConflict (pool in use), kInvalid; names what there is when something is not found.
net::Result<Config> apply(Config config, const Change& change);
// All or nothing, then validated (validate_services).
net::Result<Config> apply(Config config, const std::vector<Change>& changes);

// One line in the words of `diff`: "+ service web: 192.0.2.10:80/tcp to pool fe, ipip, maglev", "~ backend fe/fe11:
// weight 50". With the old value too (`weight 100 -> 50`) when `before`, the Config it is applied to, is given.
std::string to_string(const Change& change, const Config* before = nullptr);

}  // namespace lb::model
