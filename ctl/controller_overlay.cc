// What changes beside the configuration: drains, leaving backends, numbers that nothing names any more.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ctl/controller.h"
#include "ctl/log.h"

namespace lb::ctl {
namespace {

constexpr int64_t kMinLeaveS = 30;  // no flow for a moment is not the end: a SYN may be under way
constexpr int64_t kSweepS = 5;      // between passes over the flow tables; each takes a hundredth of the time at most
constexpr int64_t kRetryS = 30;     // after a failure

// Whose flows are few enough to be counted out: once they are leaving for a while.
bool is_due(const model::Leaving& leaving, int64_t now) {
  return leaving.since + kMinLeaveS <= now;
}

std::string line_of(const model::BackendName& name, const model::Override& drain) {
  const std::string until = drain.expires == 0 ? "" : fmt::format(" for {} s", drain.expires - drain.since);
  return fmt::format("~ backend {}: drain{}", name.text(), until);
}

}  // namespace

// Without a flow table nothing is kept by anybody.
model::Overlay Controller::tracked(model::Overlay overlay) const {
  if (engine_.flows() != nullptr) return overlay;
  overlay.leaving.clear();
  overlay.former_pools.clear();
  return overlay;
}

net::Result<ChangeResult> Controller::drain(const std::vector<model::BackendName>& names,
                                            std::optional<int64_t> expires_s, const ChangeOptions& options) {
  model::Overlay overlay = state_.overlay;
  std::vector<std::string> lines;
  for (const model::BackendName& name : names) {
    const model::Override drain{.uid = options.author.uid,
                                .login_uid = options.author.login_uid,
                                .reason = options.reason,
                                .since = now(),
                                .expires = expires_s ? now() + *expires_s : 0};
    const auto [it, added] = overlay.drained.try_emplace(name, drain);
    if (!added && it->second.expires == drain.expires && it->second.reason == drain.reason) continue;
    it->second = drain;
    lines.push_back(line_of(name, drain));
  }
  return commit(config_, std::move(overlay), options, {.lines = std::move(lines)});
}

net::Result<ChangeResult> Controller::make_ready(const std::vector<model::BackendName>& names,
                                                 const ChangeOptions& options) {
  model::Overlay overlay = state_.overlay;
  std::vector<std::string> lines;
  for (const model::BackendName& name : names)
    if (overlay.drained.erase(name) > 0) lines.push_back(fmt::format("~ backend {}: ready", name.text()));
  return commit(config_, std::move(overlay), options, {.lines = std::move(lines)});
}

net::Result<ChangeResult> Controller::use_overrides(model::Overlay overlay, std::vector<std::string> lines,
                                                    const ChangeOptions& options) {
  return commit(config_, std::move(overlay), options, {.lines = std::move(lines)});
}

void Controller::tick() {
  const int64_t at = now();
  if (model::FlowTables* flows = engine_.flows(); flows != nullptr && at >= next_tidy_) {
    flows->tidy();
    next_tidy_ = at + kSweepS;
  }
  if (grade_ && at >= grade_->due) grade_forecast();
  if (at < next_try_) return;
  if (state_.trial && at >= state_.trial->until) undo_trial();
  model::Overlay overlay = state_.overlay;
  std::vector<std::string> said;
  if (!overlay.empty()) said = model::expire(overlay, config_, at);
  if (wants_sweep(at)) sweep(overlay, said, at);
  if (overlay != state_.overlay) use_overlay(std::move(overlay), said);
}

bool Controller::wants_sweep(int64_t now) const {
  if (now < next_sweep_) return false;
  const auto& leaving = state_.overlay.leaving;
  return !ids_.reserved().empty() ||
         std::ranges::any_of(leaving, [&](const auto& entry) { return is_due(entry.second, now); });
}

void Controller::sweep(model::Overlay& overlay, std::vector<std::string>& said, int64_t now) {
  model::FlowTables* flows = engine_.flows();
  if (flows == nullptr) return;
  const auto start = std::chrono::steady_clock::now();
  const model::FlowTotals totals = flows->count();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  next_sweep_ = now + std::max<int64_t>(kSweepS, took.count() / 10);
  std::erase_if(overlay.leaving, [&](const auto& entry) {
    if (!is_due(entry.second, now) || totals.backends[net::raw(ids_.backend(entry.first))].total() > 0) return false;
    said.push_back(fmt::format("{}/{} ({}) has left: no flow of it is left", entry.first.pool, entry.first.name,
                               entry.first.address.to_string()));
    return true;
  });
  release_ids(totals);
}

// A worker that still uses an older snapshot could name a number after the count.
void Controller::release_ids(const model::FlowTotals& totals) {
  if (ids_.reserved().empty()) return;
  for (const model::WorkerCounters& w : engine_.workers())
    if (w.generation < snapshot_->generation) return;
  std::vector<net::BackendId> unnamed;
  for (const auto& [digest, id] : ids_.reserved())
    if (!totals.backends[net::raw(id)].named) unnamed.push_back(id);
  for (net::BackendId id : unnamed) {
    engine_.flows()->backend_ids()[net::raw(id)] = 0;
    ids_.release(id);
  }
}

void Controller::use_overlay(model::Overlay overlay, const std::vector<std::string>& said) {
  State next = state_;
  next.overlay = std::move(overlay);
  ChangeResult result;
  auto compiled = compile(config_, next.overlay);
  const net::Status used = compiled ? make_durable(next, *compiled, &result) : net::Status(compiled.error());
  if (!used) {
    next_try_ = now() + kRetryS;
    log(LogLevel::kError, "expiry_failed", {{"why", used.error().message}});
    return;
  }
  state_ = std::move(next);
  adopt(std::move(compiled).value());
  for (const std::string& what : said) log(LogLevel::kInfo, "expired", {{"what", what}});
  log(LogLevel::kInfo, "published",
      {{"generation", generation()}, {"cause", "expiry"}, {"late", result.late_workers.size()}});
}

}  // namespace lb::ctl
