#include "ctl/controller.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <utility>

#include "ctl/digest.h"
#include "ctl/eligibility_events.h"
#include "ctl/guards.h"
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

std::vector<std::string> names_of(const std::vector<net::WorkerId>& workers, model::Engine& engine) {
  if (workers.empty()) return {};
  std::vector<std::string> names;
  for (const model::WorkerCounters& w : engine.workers())
    if (std::find(workers.begin(), workers.end(), w.worker) != workers.end()) names.push_back(w.name);
  return names;
}

std::vector<size_t> count_eligible(const model::Snapshot& snapshot, EligibleCounter& counter) {
  std::vector<size_t> counts;
  for (size_t i = 0; i < snapshot.services.size(); i++) {
    const lb_service* service = service_at(snapshot, i);
    counts.push_back(service == nullptr ? 0 : counter.count(snapshot, *service));
  }
  return counts;
}

// As much as a line of the log can take.
std::string touched_text(const model::Diff& diff) {
  constexpr size_t kMost = 50;
  const std::vector<std::string> all = touched_by(diff);
  const size_t shown = std::min(all.size(), kMost);
  std::string text = fmt::format("{}", fmt::join(all.begin(), all.begin() + static_cast<ptrdiff_t>(shown), ", "));
  if (all.size() > shown) text += fmt::format(", and {} more", all.size() - shown);
  return text;
}

void log_change(const ChangeOptions& options, const ChangeResult& result, const model::Diff& diff) {
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
       {"first", result.lines.empty() ? std::string() : result.lines.front()},
       {"touched", touched_text(diff)}});
}

State next_state(uint64_t revision, const model::Config& config, const ChangeOptions& options) {
  State state;
  state.revision = revision;
  state.uid = options.author.uid;
  state.login_uid = options.author.login_uid;
  state.files = options.files;
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

// Overrides hide what the configuration says: told, or an operator looks for the effect of his change in vain.
std::vector<std::string> masked(const model::Diff& diff, const model::Overlay& overlay) {
  std::vector<std::string> said;
  for (const model::Change& change : diff.changes) {
    const auto* set = std::get_if<model::SetBackend>(&change);
    if (set == nullptr || !set->weight || !overlay.drained.contains({set->pool, set->name})) continue;
    said.push_back(fmt::format("{0}/{1} is drained: its weight takes effect after `lbctl backend ready {0}/{1}`",
                               set->pool, set->name));
  }
  return said;
}

std::set<net::Address> addresses_of(const model::Config& config, const model::Overlay& overlay) {
  const auto list = model::backend_addresses(config, overlay);
  return {list.begin(), list.end()};
}

net::Error joined(const std::vector<std::string>& sentences) {
  return {net::Code::kConflict, fmt::format("{}", fmt::join(sentences, "\n"))};
}

}  // namespace

Controller::Controller(model::Engine& engine, TopologySource& topology, StateStore& store, lb_hash_key key)
    : engine_(engine), source_(topology), store_(store), compiler_(key), clock_([] {
        return int64_t{std::time(nullptr)};
      }) {}

net::Result<Controller::Compiled> Controller::compile(const model::Config& config, const model::Overlay& overlay) {
  Compiled compiled{ids_, {}, nullptr};
  if (auto assigned = compiled.ids.assign(config, overlay); !assigned) return assigned.error();
  auto topology = source_.resolve(addresses_of(config, overlay));
  if (!topology) return std::move(topology).error();
  compiled.topology = std::move(topology).value();
  auto snapshot =
      compiler_.compile(config, compiled.topology, compiled.ids, net::Generation{++last_generation_}, nullptr, overlay);
  if (!snapshot) return std::move(snapshot).error();
  compiled.snapshot = std::move(snapshot).value();
  return compiled;
}

// Whose number is what is written first: a flow table must never name a number that nobody can explain.
net::Result<model::PublishReport> Controller::publish(const Compiled& compiled) {
  if (model::FlowTables* flows = engine_.flows(); flows != nullptr && !compiled.ids.fresh_backends().empty()) {
    const std::span<uint64_t> words = flows->backend_ids();
    for (const auto& [key, id] : compiled.ids.backends()) words[net::raw(id)] = model::digest_of(key);
  }
  return engine_.publish(compiled.snapshot);
}

void Controller::adopt(Compiled compiled) {
  ids_ = std::move(compiled.ids);
  topology_ = std::move(compiled.topology);
  EligibleCounter counter(&counter_);
  const std::vector<size_t> eligible_before = std::exchange(eligible_, count_eligible(*compiled.snapshot, counter));
  counter.forget_before();
  counter_ = std::move(counter);
  if (snapshot_) tell_eligibility(*snapshot_, eligible_before, *compiled.snapshot, eligible_);
  snapshot_ = std::move(compiled.snapshot);
  source_.follow(addresses_of(config_, state_.overlay));
  if (on_publication_) on_publication_();
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
  if (model::FlowTables* flows = engine_.flows()) ids_.keep_directory(flows->backend_ids());
  if (state) {
    state_ = *state;
    state_.overlay = tracked(std::move(state_.overlay));
    for (const std::string& what : model::expire(state_.overlay, config_, now()))
      log(LogLevel::kInfo, "expired", {{"what", what}});
  } else {
    ChangeOptions first;
    first.author.command = "start";
    first.reason = "first start";
    // A lost state does not make numbers mean two things.
    state_ = next_state(history().last() + 1, config_, first);
  }
  auto compiled = compile(config_, state_.overlay);
  if (!compiled) return compiled.error();
  if (!state) {
    if (auto prepared = store_.prepare(state_); !prepared) return prepared;
  }
  const model::TrafficCounters before = engine_.traffic();
  auto published = publish(*compiled);
  start_counters(compiled->ids, before);
  if (!published) {
    if (!state) store_.abandon();
    return published.error();
  }
  if (!state) {
    auto kept = store_.commit();
    if (!kept) return kept.error();
    if (!kept->empty()) log(LogLevel::kWarning, "state_not_synced", {{"why", *kept}});
  }
  complete_history();
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
  return commit(std::move(to).value(), state_.overlay, options, {});
}

net::Result<ChangeResult> Controller::replace(model::Config to, const ChangeOptions& options) {
  const auto violations = model::validate_services(to);
  if (!violations.empty()) return joined(violations);
  return commit(std::move(to), state_.overlay, options, {});
}

net::Status Controller::check_guards(const model::Config& to, const model::Overlay& overlay, const model::Diff& diff,
                                     const Compiled& compiled, ChangeResult& result, const ChangeOptions& options) {
  std::vector<bool> busy;
  for (const lb_traffic& t : traffic().services) busy.push_back(t.packets > 0);
  std::vector<model::BackendName> drained;
  for (const auto& [name, drain] : overlay.drained)
    if (!state_.overlay.drained.contains(name)) drained.push_back(name);
  auto said = guard(
      {config_, to, *snapshot_, *compiled.snapshot, overlay, diff.changes, drained, result.forecast, busy}, options);
  if (said.empty()) return {};
  if (!options.dry_run) return joined(said);
  result.warnings.insert(result.warnings.end(), said.begin(), said.end());
  return {};
}

net::Error Controller::unexpected(uint64_t expected) const {
  return {net::Code::kConflict,
          fmt::format("the revision is {}, not {} as expected: look at what changed, then try again", revision(),
                      expected)};
}

net::Error Controller::on_trial() const {
  return {net::Code::kConflict,
          fmt::format("revision {} is on trial for {} s more, then revision {} comes back: say `lbctl config confirm` "
                      "or `lbctl config rollback` first",
                      revision(), std::max<int64_t>(0, state_.trial->until - now()), state_.trial->back_to)};
}

ChangeResult Controller::unchanged(const ChangeOptions& options) const {
  ChangeResult result;
  result.dry_run = options.dry_run;
  result.revision = revision();
  result.generation = generation();
  result.digest = digest();
  return result;
}

net::Result<ChangeResult> Controller::commit(model::Config to, model::Overlay overlay, const ChangeOptions& options,
                                             Way way) {
  if (options.expect_revision && *options.expect_revision != revision()) return unexpected(*options.expect_revision);
  const model::Diff diff = model::diff(config_, to);
  if (state_.trial && !way.ends_trial && !diff.changes.empty() && !options.dry_run) return on_trial();
  to.daemon = config_.daemon;
  overlay = tracked(model::carry(std::move(overlay), config_, to, now()));
  ChangeResult result = unchanged(options);
  result.lines = diff.lines;
  result.lines.insert(result.lines.end(), way.lines.begin(), way.lines.end());
  result.restart = diff.restart;
  if (diff.changes.empty() && overlay == state_.overlay) return result;
  auto compiled = compile(to, overlay);
  if (!compiled) return std::move(compiled).error();
  result.forecast = forecast(engine_.flows(), *snapshot_, *compiled->snapshot);
  result.warnings = masked(diff, overlay);
  if (way.guarded) {
    if (auto allowed = check_guards(to, overlay, diff, *compiled, result, options); !allowed) return allowed.error();
  }
  result.changed = true;
  State next = diff.changes.empty() ? state_ : next_state(revision() + 1, to, options);
  next.overlay = std::move(overlay);
  next.restores = diff.changes.empty() ? next.restores : way.restores;
  if (!diff.changes.empty() && options.confirm_within_s)
    next.trial = {.until = now() + *options.confirm_within_s, .back_to = revision()};
  result.digest = next.digest;
  result.trial = next.trial;
  if (options.dry_run) return result;
  if (auto put = put_in_use(std::move(to), std::move(next), *compiled, diff, options, result); !put) return put.error();
  return result;
}

net::Status Controller::put_in_use(model::Config to, State next, Compiled& compiled, const model::Diff& diff,
                                   const ChangeOptions& options, ChangeResult& result) {
  if (grade_) grade_forecast();
  const model::TrafficCounters before = engine_.traffic();
  if (auto durable = make_durable(next, compiled, &result); !durable) {
    log(LogLevel::kError, "change_failed",
        {{"command", options.author.command}, {"uid", options.author.uid}, {"why", durable.error().message}});
    return durable.error();
  }
  start_counters(compiled.ids, before);
  config_ = std::move(to);
  state_ = std::move(next);
  adopt(std::move(compiled));
  if (!diff.changes.empty()) remember(diff);
  result.revision = revision();
  result.generation = generation();
  log_change(options, result, diff);
  expect(result.forecast);
  return {};
}

net::Status Controller::make_durable(const State& next, const Compiled& compiled, ChangeResult* result) {
  if (auto prepared = store_.prepare(next); !prepared) return prepared;
  auto published = publish(compiled);
  if (!published) {
    store_.abandon();
    return published.error();
  }
  auto kept = store_.commit();
  if (!kept) {
    // Not durable, so it must not run either. Its new numbers were in use: they are nobody's until nothing names them.
    model::IdTable ids = compiled.ids;
    if (ids.assign(config_, state_.overlay)) ids_ = std::move(ids);
    if (auto back = engine_.publish(snapshot_); !back) {
      return net::Error{net::Code::kInternal,
                        fmt::format("{}; and the former generation could not be published again: {}; restart lbd",
                                    kept.error().message, back.error().message)};
    }
    return kept.error();
  }
  if (!kept->empty()) result->warnings.push_back(*kept);
  result->late_workers = names_of(published->late, engine_);
  return {};
}

void Controller::topology_changed() {
  auto topology = source_.resolve(addresses_of(config_, state_.overlay));
  if (!topology) {
    log(LogLevel::kError, "topology_unknown", {{"why", topology.error().message}});
    return;
  }
  if (*topology == topology_) return;
  auto compiled = compile(config_, state_.overlay);
  if (!compiled) {
    log(LogLevel::kError, "compile_failed", {{"why", compiled.error().message}});
    return;
  }
  auto published = publish(*compiled);
  if (!published) {
    log(LogLevel::kError, "publish_failed", {{"why", published.error().message}});
    return;
  }
  adopt(std::move(compiled).value());
  log(LogLevel::kInfo, "published",
      {{"generation", generation()}, {"cause", "topology"}, {"late", published->late.size()}});
}

}  // namespace lb::ctl
