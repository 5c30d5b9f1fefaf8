#include "dataplane/model/change.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "dataplane/model/text_rules.h"
#include "dataplane/model/validate.h"

namespace lb::model {
namespace {

using net::Code;
using net::Error;
using net::Status;

// "there is no pool 'fa'; did you mean fe?" or the names there are.
Error not_found(std::string_view kind, std::string_view name, const std::vector<std::string_view>& names) {
  const std::string_view near = nearest_word(name, names);
  const std::string there = names.empty()  ? fmt::format("there are no {}s", kind)
                            : near.empty() ? fmt::format("there are: {}", join_words(names, 10))
                                           : fmt::format("did you mean {}?", near);
  return {Code::kNotFound, fmt::format("there is no {} {}; {}", kind, quote_text(name), there)};
}

template <class T>
std::vector<std::string_view> names_of(const std::map<std::string, T>& things) {
  std::vector<std::string_view> names;
  for (const auto& [name, thing] : things) names.push_back(name);
  return names;
}

template <class T>
net::Result<T*> find(std::map<std::string, T>& things, std::string_view kind, const std::string& name) {
  const auto it = things.find(name);
  if (it == things.end()) return not_found(kind, name, names_of(things));
  return &it->second;
}

using BackendIt = std::vector<Backend>::iterator;

BackendIt lower_bound(Pool& pool, const std::string& name) {
  return std::lower_bound(pool.backends.begin(), pool.backends.end(), name,
                          [](const Backend& b, const std::string& n) { return b.name < n; });
}

net::Result<BackendIt> find_backend(Pool& pool, const std::string& name) {
  const auto it = lower_bound(pool, name);
  if (it != pool.backends.end() && it->name == name) return it;
  std::vector<std::string_view> names;
  for (const Backend& b : pool.backends) names.push_back(b.name);
  Error error = not_found("backend", name, names);
  error.message += fmt::format(" (pool {})", pool.name);
  return error;
}

Error exists(std::string_view kind, std::string_view name) {
  return {Code::kExists,
          fmt::format("{} {} exists already: change it with `set`, or take another name", kind, quote_text(name))};
}

template <class T>
void assign_if(T& field, const std::optional<T>& value) {
  if (value) field = *value;
}

// One overload a change; each leaves the Config as it was when it fails.
struct Apply {
  Config& config;

  Status operator()(const AddService& c) const {
    if (config.services.contains(c.service.name)) return exists("service", c.service.name);
    canonicalize(config.services.emplace(c.service.name, c.service).first->second);
    return {};
  }
  Status operator()(const SetService& c) const {
    const auto found = find(config.services, "service", c.name);
    if (!found) return found.error();
    Service& s = **found;
    assign_if(s.listen, c.listen);
    assign_if(s.pool, c.pool);
    assign_if(s.forward, c.forward);
    assign_if(s.schedule, c.schedule);
    assign_if(s.table_size, c.table_size);
    assign_if(s.prefix4, c.prefix4);
    assign_if(s.prefix6, c.prefix6);
    assign_if(s.on_no_listener, c.on_no_listener);
    assign_if(s.announce, c.announce);
    canonicalize(s);
    return {};
  }
  Status operator()(const RemoveService& c) const {
    if (const auto found = find(config.services, "service", c.name); !found) return found.error();
    config.services.erase(c.name);
    return {};
  }
  Status operator()(const AddPool& c) const {
    if (config.pools.contains(c.pool.name)) return exists("pool", c.pool.name);
    canonicalize(config.pools.emplace(c.pool.name, c.pool).first->second);
    return {};
  }
  Status operator()(const RemovePool& c) const {
    if (const auto found = find(config.pools, "pool", c.name); !found) return found.error();
    std::vector<std::string_view> users;
    for (const auto& [name, service] : config.services)
      if (service.pool == c.name) users.push_back(name);
    if (!users.empty())
      return Error{Code::kConflict,
                   fmt::format("pool {} is in use by {} {}: remove the service or give it another "
                               "pool first",
                               quote_text(c.name), users.size() == 1 ? "service" : "services", join_words(users, 10))};
    config.pools.erase(c.name);
    return {};
  }
  Status operator()(const AddBackend& c) const {
    const auto pool = find(config.pools, "pool", c.pool);
    if (!pool) return pool.error();
    const auto at = lower_bound(**pool, c.backend.name);
    if (at != (*pool)->backends.end() && at->name == c.backend.name)
      return exists("backend", c.pool + "/" + c.backend.name);
    (*pool)->backends.insert(at, c.backend);
    return {};
  }
  Status operator()(const SetBackend& c) const {
    const auto pool = find(config.pools, "pool", c.pool);
    if (!pool) return pool.error();
    const auto backend = find_backend(**pool, c.name);
    if (!backend) return backend.error();
    assign_if((*backend)->address, c.address);
    assign_if((*backend)->weight, c.weight);
    assign_if((*backend)->labels, c.labels);
    return {};
  }
  Status operator()(const RemoveBackend& c) const {
    const auto pool = find(config.pools, "pool", c.pool);
    if (!pool) return pool.error();
    const auto backend = find_backend(**pool, c.name);
    if (!backend) return backend.error();
    (*pool)->backends.erase(*backend);
    return {};
  }
};

}  // namespace

net::Result<Config> apply(Config config, const Change& change) {
  canonicalize(config);
  const Status status = std::visit(Apply{config}, change);
  if (!status) return status.error();
  return config;
}

net::Result<Config> apply(Config config, const std::vector<Change>& changes) {
  canonicalize(config);
  for (const Change& change : changes)
    if (const Status status = std::visit(Apply{config}, change); !status) return status.error();
  std::string broken;
  for (const Violation& v : validate_services(config))
    broken += fmt::format("{}{}: {}", broken.empty() ? "" : "\n", v.path, v.message);
  if (!broken.empty()) return Error{Code::kInvalid, std::move(broken)};
  return config;
}

}  // namespace lb::model
