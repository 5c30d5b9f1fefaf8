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

// A backend that needs an id, and where that belongs in document order; a leaving one stands nowhere.
struct Wanted {
  const std::string *pool, *name;
  const net::Address* address;
  size_t position = SIZE_MAX;
};

std::strong_ordering compare(const IdTable::BackendKey& key, const Wanted& w) {
  if (auto order = key.pool <=> *w.pool; order != 0) return order;
  if (auto order = key.name <=> *w.name; order != 0) return order;
  return key.address <=> *w.address;
}

// In the order of IdTable::backends(). positions: how many stand in the document.
std::vector<Wanted> sorted_backends(const Config& config, const Overlay& overlay, size_t* positions) {
  std::vector<Wanted> all;
  for (const auto& [name, pool] : config.pools)
    for (const Backend& b : pool.backends) all.push_back({&name, &b.name, &b.address, all.size()});
  *positions = all.size();
  for (const auto& [key, leaving] : overlay.leaving) all.push_back({&key.pool, &key.name, &key.address});
  // Those in the document first, so that one which is leaving and back again is one.
  const auto key_of = [](const Wanted& w) { return std::tie(*w.pool, *w.name, *w.address, w.position); };
  std::ranges::sort(all, [&](const Wanted& a, const Wanted& b) { return key_of(a) < key_of(b); });
  const auto twice = [](const Wanted& a, const Wanted& b) {
    return *a.pool == *b.pool && *a.name == *b.name && *a.address == *b.address;
  };
  all.erase(std::unique(all.begin(), all.end(), twice), all.end());
  return all;
}

net::Error too_many(size_t backends, size_t leaving, size_t named) {
  std::string all = fmt::format("{} backends", backends);
  if (leaving > 0) all += fmt::format(" and {} that are leaving", leaving);
  if (named > 0) all += fmt::format(" and {} former ones that flows may still name", named);
  return {net::Code::kInvalid,
          fmt::format("{} are more than the {} that a node can number: remove some{}", all, LB_MAX_BACKENDS,
                      leaving + named > 0 ? ", or wait until the former ones have no flows" : "")};
}

}  // namespace

void IdTable::keep_directory(std::span<const uint64_t> digests) {
  reserves_ = true;
  const size_t end = std::min<size_t>(digests.size(), LB_MAX_BACKENDS + 1);
  for (size_t id = 1; id < end; id++) {
    if (digests[id] == 0) continue;
    reserved_.emplace(digests[id], static_cast<net::BackendId>(id));
    for (; next_backend_ < id; next_backend_++) freed_backends_.push_back(static_cast<net::BackendId>(next_backend_));
    next_backend_ = static_cast<uint32_t>(id) + 1;
  }
}

void IdTable::release(net::BackendId id) {
  const auto it = std::ranges::find(reserved_, id, [](const auto& entry) { return entry.second; });
  reserved_.erase(it);
  freed_backends_.push_back(id);
}

net::Status IdTable::assign(const Config& config, const Overlay& overlay) {
  if (config.services.size() > LB_MAX_SERVICES)
    return net::Error{net::Code::kInvalid,
                      fmt::format("{} services are more than the {} that a node can number: remove some",
                                  config.services.size(), LB_MAX_SERVICES)};
  if (auto status = assign_backends(config, overlay); !status) return status;
  assign_services(config);
  return {};
}

size_t IdTable::free_numbers() const {
  return LB_MAX_BACKENDS + 1 - next_backend_ + freed_backends_.size();
}

void IdTable::free_backend(const BackendKey& key, net::BackendId id) {
  if (reserves_)
    reserved_.emplace(digest_of(key), id);
  else
    freed_backends_.push_back(id);
}

// Its former number, when entries may still name it; else any that is free. REQUIRES: there is one.
net::BackendId IdTable::take_backend(const BackendKey& key) {
  const auto former = reserves_ ? reserved_.find(digest_of(key)) : reserved_.end();
  if (former == reserved_.end()) return take_id(next_backend_, LB_MAX_BACKENDS + 1, freed_backends_);
  const net::BackendId id = former->second;
  reserved_.erase(former);
  return id;
}

// One walk over both sorted sequences; what is gone is freed before anything new takes a number.
net::Status IdTable::assign_backends(const Config& config, const Overlay& overlay) {
  size_t positions = 0;
  const std::vector<Wanted> wanted = sorted_backends(config, overlay, &positions);
  std::vector<Wanted> fresh;
  std::vector<std::map<BackendKey, net::BackendId>::iterator> gone;
  std::vector<net::BackendId> order(positions, net::kNoBackend);
  auto known = backends_.begin();
  for (const Wanted& w : wanted) {
    std::strong_ordering is = std::strong_ordering::greater;
    while (known != backends_.end() && (is = compare(known->first, w)) < 0) gone.push_back(known++);
    if (known == backends_.end() || is != 0) {
      fresh.push_back(w);
      continue;
    }
    if (w.position != SIZE_MAX) order[w.position] = known->second;
    ++known;
  }
  while (known != backends_.end()) gone.push_back(known++);
  size_t numbers = fresh.size();
  for (const Wanted& w : fresh) numbers -= reserves_ && reserved_.contains(digest_of({*w.pool, *w.name, *w.address}));
  if (numbers > free_numbers() + (reserves_ ? 0 : gone.size()))
    return too_many(positions, wanted.size() - positions, reserved_.size() + (reserves_ ? gone.size() : 0));

  for (const auto& it : gone) {
    free_backend(it->first, it->second);
    backends_.erase(it);
  }
  for (const Wanted& w : fresh) {
    const BackendKey key{*w.pool, *w.name, *w.address};
    const net::BackendId id = take_backend(key);
    backends_.emplace(key, id);
    fresh_backends_.push_back(id);
    if (w.position != SIZE_MAX) order[w.position] = id;
  }
  document_order_ = std::move(order);
  return {};
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
