#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "dataplane/model/compiler_parts.h"

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

auto order_of(const std::string& pool, const std::string& name, const net::Address& address) {
  return std::tie(pool, name, address);
}

}  // namespace

std::vector<const Backend*> backends_by_name(const Pool& pool) {
  std::vector<const Backend*> sorted;
  sorted.reserve(pool.backends.size());
  for (const Backend& b : pool.backends) sorted.push_back(&b);
  std::ranges::sort(sorted, [](const Backend* a, const Backend* b) {
    return std::tie(a->name, a->address) < std::tie(b->name, b->address);
  });
  return sorted;
}

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
  std::vector<std::pair<const std::string*, const Backend*>> fresh;
  auto known = backends_.begin();
  const auto free_known = [&] {
    freed_backends_.push_back(known->second);
    known = backends_.erase(known);
  };
  for (const auto& [pool_name, pool] : config.pools) {
    for (const Backend* b : backends_by_name(pool)) {
      const auto wanted = order_of(pool_name, b->name, b->address);
      const auto is = [&](auto&& relation) {
        return known != backends_.end() &&
               relation(order_of(known->first.pool, known->first.name, known->first.address), wanted);
      };
      while (is(std::less<>{})) free_known();
      if (is(std::equal_to<>{}))
        ++known;
      else
        fresh.emplace_back(&pool_name, b);
    }
  }
  while (known != backends_.end()) free_known();
  for (const auto& [pool_name, b] : fresh) {
    const auto [it, added] = backends_.try_emplace({*pool_name, b->name, b->address});
    if (!added) continue;
    it->second = take_id(next_backend_, LB_MAX_BACKENDS + 1, freed_backends_);
    fresh_backends_.push_back(it->second);
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
