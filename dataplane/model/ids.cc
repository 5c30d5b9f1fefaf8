#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <tuple>
#include <utility>

#include "dataplane/model/snapshot.h"

namespace lb::model {
namespace {

// Next number never given out, then the one that was freed longest ago. REQUIRES: there is one.
template <class Id>
Id take_id(uint32_t& next, uint32_t end, std::deque<Id>& freed) {
  if (next < end) return static_cast<Id>(next++);
  const Id id = freed.front();
  freed.pop_front();
  return id;
}

// A backend of the configuration, and where its id belongs in document order.
struct Wanted {
  const std::string* pool;
  const Backend* backend;
  size_t position;
};

std::strong_ordering compare(const IdTable::BackendKey& key, const Wanted& w) {
  if (auto order = key.pool <=> *w.pool; order != 0) return order;
  if (auto order = key.name <=> w.backend->name; order != 0) return order;
  return key.address <=> w.backend->address;
}

// In the order of IdTable::backends().
std::vector<Wanted> sorted_backends(const Config& config) {
  std::vector<Wanted> all;
  for (const auto& [name, pool] : config.pools) {
    const auto start = static_cast<std::ptrdiff_t>(all.size());
    for (const Backend& b : pool.backends) all.push_back({&name, &b, all.size()});
    std::sort(all.begin() + start, all.end(), [](const Wanted& a, const Wanted& b) {
      return std::tie(a.backend->name, a.backend->address) < std::tie(b.backend->name, b.backend->address);
    });
  }
  return all;
}

}  // namespace

net::Status IdTable::assign(const Config& config) {
  size_t backends = 0;
  for (const auto& [name, pool] : config.pools) backends += pool.backends.size();
  if (backends > LB_MAX_BACKENDS)
    return net::Error{
        net::Code::kInvalid,
        fmt::format("{} backends are more than the {} that a node can number: remove some", backends, LB_MAX_BACKENDS)};
  if (config.services.size() > LB_MAX_SERVICES)
    return net::Error{net::Code::kInvalid,
                      fmt::format("{} services are more than the {} that a node can number: remove some",
                                  config.services.size(), LB_MAX_SERVICES)};
  assign_backends(config);
  assign_services(config);
  return {};
}

// One walk over both sorted sequences; what is gone is freed before anything new takes a number.
void IdTable::assign_backends(const Config& config) {
  const std::vector<Wanted> wanted = sorted_backends(config);
  document_order_.assign(wanted.size(), net::kNoBackend);
  std::vector<Wanted> fresh;
  auto known = backends_.begin();
  const auto free_known = [&] {
    freed_backends_.push_back(known->second);
    known = backends_.erase(known);
  };
  for (const Wanted& w : wanted) {
    std::strong_ordering order = std::strong_ordering::greater;
    while (known != backends_.end() && (order = compare(known->first, w)) < 0) free_known();
    if (known != backends_.end() && order == 0)
      document_order_[w.position] = known++->second;
    else
      fresh.push_back(w);
  }
  while (known != backends_.end()) free_known();
  for (const Wanted& w : fresh) {
    const net::BackendId id = take_id(next_backend_, LB_MAX_BACKENDS + 1, freed_backends_);
    backends_.emplace(BackendKey{*w.pool, w.backend->name, w.backend->address}, id);
    fresh_backends_.push_back(id);
    document_order_[w.position] = id;
  }
}

void IdTable::assign_services(const Config& config) {
  for (auto it = services_.begin(); it != services_.end();) {
    if (config.services.contains(it->first)) {
      ++it;
    } else {
      freed_services_.push_back(it->second);
      it = services_.erase(it);
    }
  }
  for (const auto& [name, service] : config.services) {
    const auto [it, added] = services_.try_emplace(name);
    if (!added) continue;
    it->second = take_id(next_service_, LB_MAX_SERVICES, freed_services_);
    fresh_services_.push_back(it->second);
  }
}

net::BackendId IdTable::backend(const BackendKey& key) const {
  const auto it = backends_.find(key);
  return it == backends_.end() ? net::kNoBackend : it->second;
}

net::ServiceIndex IdTable::service(const std::string& name) const {
  return services_.at(name);
}

std::vector<net::BackendId> IdTable::take_fresh_backends() {
  return std::exchange(fresh_backends_, {});
}

std::vector<net::ServiceIndex> IdTable::take_fresh_services() {
  return std::exchange(fresh_services_, {});
}

}  // namespace lb::model
