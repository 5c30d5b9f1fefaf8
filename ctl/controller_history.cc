// Former revisions: back to one, a trial and its end.
#include <fmt/format.h>

#include "ctl/controller.h"
#include "ctl/log.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

constexpr int64_t kTryUndoAgainS = 10;

}  // namespace

void Controller::remember(const model::Diff& diff) {
  const std::string incomplete = store_.history().add(state_, diff);
  if (!incomplete.empty()) log(LogLevel::kError, "history_not_written", {{"why", incomplete}});
}

// The first start; or a kill came before the index had the revision: what it changed is what it differs in from the one
// before.
void Controller::complete_history() {
  if (history().last() >= revision()) return;
  const auto before = former(revision() - 1);
  remember(model::diff(before ? *before : model::Config(), config_));
}

net::Result<model::Config> Controller::former(uint64_t revision) const {
  if (revision == this->revision()) return config_;
  auto state = store_.former(revision);
  if (!state) return std::move(state).error();
  model::Parsed parsed =
      model::parse_config(state->config_text, fmt::format("revision {}", revision), model::no_includes());
  if (!parsed.problems.empty()) return model::to_error(parsed.problems);
  parsed.config.daemon = config_.daemon;
  return std::move(parsed.config);
}

net::Result<ChangeResult> Controller::go_back(uint64_t to, const ChangeOptions& options, bool guarded) {
  auto config = former(to);
  if (!config) return std::move(config).error();
  Way way;
  way.restores = to;
  way.ends_trial = true;
  way.guarded = guarded;
  return commit(std::move(config).value(), state_.overlay, options, std::move(way));
}

net::Result<ChangeResult> Controller::rollback(std::optional<uint64_t> to, const ChangeOptions& options) {
  if (!to && state_.trial) to = state_.trial->back_to;
  if (!to && revision() <= 1)
    return net::Error{net::Code::kNotFound, "revision 1 is the first one: there is none before it"};
  return go_back(to.value_or(revision() - 1), options, true);
}

net::Result<ChangeResult> Controller::confirm(const ChangeOptions& options) {
  if (options.expect_revision && *options.expect_revision != revision()) return unexpected(*options.expect_revision);
  if (!state_.trial) {
    return net::Error{net::Code::kConflict,
                      fmt::format("revision {} is not on trial: there is nothing to confirm", revision())};
  }
  ChangeResult result = unchanged(options);
  result.changed = true;
  result.lines.push_back(fmt::format("~ revision {}: confirmed", revision()));
  if (options.dry_run) return result;
  State next = state_;
  next.trial.reset();
  if (auto prepared = store_.prepare(next); !prepared) return prepared.error();
  auto kept = store_.commit();
  if (!kept) return kept.error();
  if (!kept->empty()) result.warnings.push_back(*kept);
  state_ = std::move(next);
  log(LogLevel::kInfo, "confirmed",
      {{"revision", revision()},
       {"uid", options.author.uid},
       {"login_uid", options.author.login_uid},
       {"reason", options.reason}});
  return result;
}

// What an operator said must come back by itself is not asked for flags again.
void Controller::undo_trial() {
  const Trial trial = *state_.trial;
  ChangeOptions options;
  options.author.command = "config.undo";
  options.reason = fmt::format("revision {} was not confirmed", revision());
  auto back = go_back(trial.back_to, options, false);
  if (back) {
    log(LogLevel::kWarning, "undone", {{"revision", revision()}, {"restores", trial.back_to}});
    return;
  }
  next_try_ = now() + kTryUndoAgainS;
  log(LogLevel::kError, "undo_failed", {{"back_to", trial.back_to}, {"why", back.error().message}});
}

}  // namespace lb::ctl
