#include "ctl/guards.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace lb::ctl {
namespace {

constexpr size_t kMinEligiblePercent = 50;
constexpr double kMaxReshuffle = 0.25;

bool is_busy(const GuardedChange& c, const std::string& service) {
  const auto it = std::ranges::find(c.before.service_names, service);
  const auto index = static_cast<size_t>(it - c.before.service_names.begin());
  return index < c.busy.size() && c.busy[index];
}

void guard_services(const GuardedChange& c, const ChangeOptions& options, std::vector<std::string>& said) {
  size_t removed = 0, busy = 0;
  for (const auto& [name, service] : c.from.services) {
    if (c.to.services.contains(name)) continue;
    removed++;
    busy += is_busy(c, name);
  }
  if (removed == 0 || options.allow_remove == removed) return;
  const std::string not_as =
      options.allow_remove ? fmt::format(", not {} as --remove said", *options.allow_remove) : std::string();
  said.push_back(fmt::format("would remove {} service{}{} ({} with traffic): say --remove {}", removed,
                             removed == 1 ? "" : "s", not_as, busy, removed));
}

void guard_flows(const GuardedChange& c, const ChangeOptions& options, std::vector<std::string>& said) {
  uint64_t broken = 0;
  std::vector<std::string> services;
  for (const ServiceForecast& f : c.forecast.services) {
    if (f.flows.moved + f.flows.ended == 0) continue;
    broken += f.flows.moved + f.flows.ended;
    services.push_back(f.service);
  }
  if (broken <= options.allow_break.value_or(0)) return;
  const std::string whose = services.size() == 1 ? services.front() : fmt::format("{} services", services.size());
  said.push_back(fmt::format("would break {}{} flow{} of {}: say --break-flows {}", c.forecast.about ? "about " : "",
                             broken, broken == 1 ? "" : "s", whose, broken));
}

// How a pool's backends are reached: by each way that its services use; by tunnel when none does.
struct Ways {
  bool used = false, ipip = false, dsr = false;
};
Ways ways_to(const std::string& pool, const model::Config& config) {
  Ways ways;
  for (const auto& [name, service] : config.services) {
    if (service.pool != pool) continue;
    ways.used = true;
    (service.forward == model::Forward::kDsr ? ways.dsr : ways.ipip) = true;
  }
  return ways;
}

using States = std::map<model::BackendKey, const model::BackendState*>;

States states_of(const model::Snapshot& snapshot, const std::string& pool) {
  States states;
  const auto& all = snapshot.backend_states;  // in order of pools
  auto it = std::ranges::lower_bound(all, pool, {}, &model::BackendState::pool);
  for (; it != all.end() && it->pool == pool; ++it) states[{it->pool, it->name, it->address}] = &*it;
  return states;
}

size_t count_eligible(const States& states, const Ways& ways) {
  return static_cast<size_t>(std::ranges::count_if(states, [&](const auto& entry) {
    return (!ways.ipip || entry.second->why_not_ipip.empty()) && (!ways.dsr || entry.second->why_not_dsr.empty());
  }));
}

// One that is new has no next hop yet: it counts by what is asked of it.
size_t count_new(const States& before, const States& after, const model::Overlay& overlay) {
  return static_cast<size_t>(std::ranges::count_if(after, [&](const auto& entry) {
    const model::BackendState& s = *entry.second;
    return !before.contains(entry.first) && s.weight > 0 && !overlay.drained.contains({s.pool, s.name});
  }));
}

void guard_pool(const GuardedChange& c, const std::string& pool, const ChangeOptions& options,
                std::vector<std::string>& said) {
  const Ways ways = ways_to(pool, c.to);
  const States before = states_of(c.before, pool);
  if (!ways.used || before.empty()) return;
  States kept = states_of(c.after, pool);
  const size_t fresh = count_new(before, kept, c.overlay);
  std::erase_if(kept, [&](const auto& entry) { return !before.contains(entry.first); });
  const size_t was = count_eligible(before, ways), left = count_eligible(kept, ways) + fresh;
  const auto all =
      static_cast<size_t>(std::ranges::count_if(before, [](const auto& entry) { return entry.second->weight > 0; }));
  if (left >= was || left * 100 >= all * kMinEligiblePercent) return;
  const auto allowed = options.allow_below.find(pool);
  if (allowed != options.allow_below.end() && left >= allowed->second) return;
  said.push_back(fmt::format("would leave {} of {} eligible in {} (limit {} %): say --allow-below {}={}", left, all,
                             pool, kMinEligiblePercent, pool, left));
}

std::set<std::string> pools_that_shrink(const GuardedChange& c) {
  std::set<std::string> pools;
  for (const model::BackendName& name : c.drained) pools.insert(name.pool);
  for (const model::Change& change : c.changes) {
    if (const auto* set = std::get_if<model::SetBackend>(&change)) pools.insert(set->pool);
    if (const auto* remove = std::get_if<model::RemoveBackend>(&change)) pools.insert(remove->pool);
  }
  std::erase_if(pools, [&](const std::string& pool) { return !c.to.pools.contains(pool); });
  return pools;
}

// A change that asks for other shares, not one of who is in the pool.
bool asks_to_reshuffle(const GuardedChange& c, const model::Service& to) {
  const auto before = c.from.services.find(to.name);
  if (before == c.from.services.end()) return false;
  const model::Service& was = before->second;
  if (was.pool != to.pool) return false;
  if (std::tie(was.schedule, was.table_size, was.prefix4, was.prefix6) !=
      std::tie(to.schedule, to.table_size, to.prefix4, to.prefix6))
    return true;
  return std::ranges::any_of(c.changes, [&](const model::Change& change) {
    const auto* set = std::get_if<model::SetBackend>(&change);
    if (set == nullptr || set->pool != to.pool || set->weight.value_or(0) == 0) return false;
    const auto& backends = c.from.pools.at(set->pool).backends;
    const auto old = std::ranges::find(backends, set->name, &model::Backend::name);
    return old != backends.end() && old->weight > 0;
  });
}

void guard_tables(const GuardedChange& c, const ChangeOptions& options, std::vector<std::string>& said) {
  for (const ServiceForecast& f : c.forecast.services) {
    const auto to = c.to.services.find(f.service);
    const double moved = f.same_way ? f.slots_moved : 1.0;
    if (to == c.to.services.end() || moved <= kMaxReshuffle || !asks_to_reshuffle(c, to->second)) continue;
    const bool concerns = c.forecast.tracked ? f.flows.live > 0 : is_busy(c, f.service);
    if (!concerns || options.allow_reshuffle.contains(f.service)) continue;
    const std::string pinned =
        c.forecast.tracked ? fmt::format(", {} flows pinned", f.flows.pinned) : std::string(", no flow table");
    said.push_back(
        fmt::format("would send {:.0f} % of the tuples of {} elsewhere (limit {:.0f} %{}): say "
                    "--allow-reshuffle {}",
                    moved * 100, f.service, kMaxReshuffle * 100, pinned, f.service));
  }
}

}  // namespace

std::vector<std::string> guard(const GuardedChange& change, const ChangeOptions& options) {
  std::vector<std::string> said;
  guard_services(change, options, said);
  guard_flows(change, options, said);
  for (const std::string& pool : pools_that_shrink(change)) guard_pool(change, pool, options, said);
  guard_tables(change, options, said);
  return said;
}

}  // namespace lb::ctl
