#include "ctl/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "ctl/digest.h"
#include "ctl/log.h"
#include "dataplane/model/config_text.h"
#include "dataplane/model/validate.h"

namespace lb::ctl {
namespace {

net::Error joined(const std::vector<model::Violation>& violations) {
  std::string text;
  for (const model::Violation& v : violations) {
    if (!text.empty()) text += '\n';
    text += v.path.empty() ? v.message : v.path + ": " + v.message;
  }
  return {net::Code::kInvalid, std::move(text)};
}

std::vector<uint32_t> cores_of(const std::vector<net::WorkerId>& workers, const model::Config& config) {
  std::vector<uint32_t> cores;
  for (net::WorkerId w : workers) {
    if (net::raw(w) < config.daemon.workers.size()) cores.push_back(config.daemon.workers[net::raw(w)]);
  }
  return cores;
}

std::vector<size_t> count_eligible(const model::Snapshot& snapshot, EligibleCounter& counter) {
  std::vector<size_t> counts;
  for (size_t i = 0; i < snapshot.services.size(); i++) {
    const lb_service* service = service_at(snapshot, i);
    counts.push_back(service == nullptr ? 0 : counter.count(snapshot, *service));
  }
  return counts;
}

void log_change(const ChangeOptions& options, const ChangeResult& result) {
  const Author& a = options.author;
  log(LogLevel::kInfo, "changed",
      {{"command", a.command},
       {"uid", a.uid},
       {"login_uid", a.login_uid},
       {"pid", a.pid},
       {"reason", options.reason},
       {"revision", result.revision},
       {"generation", result.generation},
       {"late", result.late_workers.size()},
       {"lines", result.lines.size()},
       {"first", result.lines.empty() ? std::string() : result.lines.front()}});
}

State next_state(uint64_t revision, const model::Config& config, const ChangeOptions& options) {
  State state;
  state.revision = revision;
  state.uid = options.author.uid;
  state.command = options.author.command;
  state.reason = options.reason;
  state.time_s = std::time(nullptr);
  state.config_text = model::print_services(config);
  state.digest = digest_hex(state.config_text);
  return state;
}

void subtract(std::vector<lb_traffic>& now, const std::vector<lb_traffic>& base) {
  for (size_t i = 0; i < std::min(now.size(), base.size()); i++) {
    now[i].packets -= base[i].packets;
    now[i].bytes -= base[i].bytes;
  }
}

template <class Id>
void take_base(std::vector<lb_traffic>& base, const std::vector<lb_traffic>& now, const std::vector<Id>& fresh) {
  for (Id id : fresh) {
    const size_t i = net::raw(id);
    if (i >= base.size()) base.resize(i + 1);
    base[i] = i < now.size() ? now[i] : lb_traffic{};
  }
}

}  // namespace

std::set<net::Address> backend_addresses(const model::Config& config) {
  std::vector<net::Address> list;
  for (const auto& [name, pool] : config.pools) {
    for (const model::Backend& b : pool.backends) list.push_back(b.address);
  }
  std::sort(list.begin(), list.end());
  return {list.begin(), list.end()};
}

Controller::Controller(model::Engine& engine, TopologySource& topology, StateStore& store, lb_hash_key key)
    : engine_(engine), source_(topology), store_(store), compiler_(key) {}

net::Result<Controller::Compiled> Controller::compile(const model::Config& config) {
  Compiled compiled{ids_, {}, nullptr};
  if (auto assigned = compiled.ids.assign(config); !assigned) return assigned.error();
  auto topology = source_.resolve(backend_addresses(config));
  if (!topology) return std::move(topology).error();
  compiled.topology = std::move(topology).value();
  auto snapshot =
      compiler_.compile(config, compiled.topology, compiled.ids, net::Generation{++last_generation_}, nullptr);
  if (!snapshot) return std::move(snapshot).error();
  compiled.snapshot = std::move(snapshot).value();
  return compiled;
}

void Controller::adopt(Compiled compiled) {
  ids_ = std::move(compiled.ids);
  topology_ = std::move(compiled.topology);
  EligibleCounter counter(&counter_);
  eligible_ = count_eligible(*compiled.snapshot, counter);
  counter.forget_before();
  counter_ = std::move(counter);
  snapshot_ = std::move(compiled.snapshot);
  source_.follow(backend_addresses(config_));
}

void Controller::start_counters(model::IdTable& ids, const model::TrafficCounters& now) {
  take_base(base_.backends, now.backends, ids.take_fresh_backends());
  take_base(base_.services, now.services, ids.take_fresh_services());
}

model::TrafficCounters Controller::traffic() const {
  model::TrafficCounters now = engine_.traffic();
  subtract(now.services, base_.services);
  subtract(now.backends, base_.backends);
  return now;
}

net::Status Controller::start(const model::Config& config, const std::optional<State>& state) {
  config_ = config;
  auto compiled = compile(config_);
  if (!compiled) return compiled.error();
  if (state) {
    state_ = *state;
  } else {
    ChangeOptions first;
    first.author.command = "start";
    first.reason = "first start";
    state_ = next_state(1, config_, first);
    if (auto prepared = store_.prepare(state_); !prepared) return prepared;
  }
  start_counters(compiled->ids, engine_.traffic());
  auto published = engine_.publish(compiled->snapshot);
  if (!published) {
    if (!state) store_.abandon();
    return published.error();
  }
  if (!state) {
    auto kept = store_.commit();
    if (!kept) return kept.error();
    if (!kept->empty()) log(LogLevel::kWarning, "state_not_synced", {{"why", *kept}});
  }
  adopt(std::move(compiled).value());
  log(LogLevel::kInfo, "published",
      {{"generation", generation()},
       {"revision", revision()},
       {"services", config_.services.size()},
       {"late", published->late.size()}});
  return {};
}

net::Result<ChangeResult> Controller::change(const std::vector<model::Change>& changes, const ChangeOptions& options) {
  auto to = model::apply(config_, changes);
  if (!to) return std::move(to).error();
  return commit(std::move(to).value(), options);
}

net::Result<ChangeResult> Controller::replace(model::Config to, const ChangeOptions& options) {
  const auto violations = model::validate_services(to);
  if (!violations.empty()) return joined(violations);
  return commit(std::move(to), options);
}

net::Status Controller::guard(const model::Diff& diff, const model::Config& to, const ChangeOptions& options) const {
  if (diff.services_removed == 0 || options.allow_remove == diff.services_removed) return {};
  const model::TrafficCounters counters = traffic();
  size_t busy = 0;
  for (const auto& [name, service] : config_.services) {
    const size_t index = net::raw(ids_.service(name));
    if (!to.services.contains(name) && index < counters.services.size()) busy += counters.services[index].packets > 0;
  }
  const std::string said =
      options.allow_remove ? fmt::format(", not {} as --remove said", *options.allow_remove) : std::string();
  return net::Error{net::Code::kConflict,
                    fmt::format("would remove {} service{}{} ({} with traffic): say --remove {}", diff.services_removed,
                                diff.services_removed == 1 ? "" : "s", said, busy, diff.services_removed)};
}

net::Error Controller::unexpected(uint64_t expected) const {
  return {net::Code::kConflict,
          fmt::format("the revision is {}, not {} as expected: look at what changed, then try again", revision(),
                      expected)};
}

net::Result<ChangeResult> Controller::commit(model::Config to, const ChangeOptions& options) {
  if (options.expect_revision && *options.expect_revision != revision()) return unexpected(*options.expect_revision);
  const model::Diff diff = model::diff(config_, to);
  to.daemon = config_.daemon;
  ChangeResult result;
  result.dry_run = options.dry_run;
  result.revision = revision();
  result.generation = generation();
  result.digest = digest();
  result.lines = diff.lines;
  result.restart = diff.restart;
  if (diff.changes.empty()) return result;
  if (auto allowed = guard(diff, to, options); !allowed) {
    if (!options.dry_run) return allowed.error();
    result.warnings.push_back(allowed.error().message);
  }
  auto compiled = compile(to);
  if (!compiled) return std::move(compiled).error();
  result.forecast = forecast(snapshot_.get(), *compiled->snapshot);
  result.changed = true;
  const State next = next_state(revision() + 1, to, options);
  result.digest = next.digest;
  if (options.dry_run) return result;

  const model::TrafficCounters before = engine_.traffic();
  if (auto durable = make_durable(next, *compiled, &result); !durable) {
    log(LogLevel::kError, "change_failed",
        {{"command", options.author.command}, {"uid", options.author.uid}, {"why", durable.error().message}});
    return durable.error();
  }
  start_counters(compiled->ids, before);
  config_ = std::move(to);
  state_ = next;
  adopt(std::move(compiled).value());
  result.revision = revision();
  result.generation = generation();
  log_change(options, result);
  return result;
}

net::Status Controller::make_durable(const State& next, const Compiled& compiled, ChangeResult* result) {
  if (auto prepared = store_.prepare(next); !prepared) return prepared;
  auto published = engine_.publish(compiled.snapshot);
  if (!published) {
    store_.abandon();
    return published.error();
  }
  auto kept = store_.commit();
  if (!kept) {
    // Not durable, so it must not run either.
    if (auto back = engine_.publish(snapshot_); !back) {
      return net::Error{net::Code::kInternal,
                        fmt::format("{}; and the former generation could not be published again: {}; restart lbd",
                                    kept.error().message, back.error().message)};
    }
    return kept.error();
  }
  if (!kept->empty()) result->warnings.push_back(*kept);
  result->late_workers = cores_of(published->late, config_);
  return {};
}

void Controller::topology_changed() {
  auto topology = source_.resolve(backend_addresses(config_));
  if (!topology) {
    log(LogLevel::kError, "topology_unknown", {{"why", topology.error().message}});
    return;
  }
  if (*topology == topology_) return;
  auto compiled = compile(config_);
  if (!compiled) {
    log(LogLevel::kError, "compile_failed", {{"why", compiled.error().message}});
    return;
  }
  auto published = engine_.publish(compiled->snapshot);
  if (!published) {
    log(LogLevel::kError, "publish_failed", {{"why", published.error().message}});
    return;
  }
  adopt(std::move(compiled).value());
  log(LogLevel::kInfo, "published",
      {{"generation", generation()}, {"cause", "topology"}, {"late", published->late.size()}});
}

}  // namespace lb::ctl
