// The one way by which anything changes what workers use:
//   change -> apply -> validate -> compile -> durable state -> publish -> rename -> answer
// Owns the configuration with its overlay, the ids, the compiler, revision and generation. On a failure anywhere the
// old state stands: on disk, in the workers, in the answers. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ctl/forecast.h"
#include "ctl/state_store.h"
#include "ctl/topology_source.h"
#include "dataplane/model/change.h"
#include "dataplane/model/diff.h"
#include "dataplane/model/engine.h"
#include "dataplane/model/overlay.h"
#include "dataplane/model/snapshot.h"

namespace lb::ctl {

struct Author {
  uint32_t uid = 0;
  int32_t pid = 0;        // of the client; 0: lbd itself
  std::string login_uid;  // who logged in before su or sudo (/proc/PID/loginuid); empty: not known
  std::string command;
};

struct ChangeOptions {
  Author author;
  std::string reason;
  bool dry_run = false;
  std::optional<uint64_t> expect_revision;
  // What the operator says that guards may let pass.
  std::optional<uint64_t> allow_remove;         // services that go
  std::optional<uint64_t> allow_break;          // flows that lose their backend or listener
  std::map<std::string, uint64_t> allow_below;  // eligible backends that are left, by pool
  std::set<std::string> allow_reshuffle;        // services
  // Of config.apply: where it came from, and seconds after which it is undone unless confirm() came.
  std::vector<SourceFile> files = {};
  std::optional<int64_t> confirm_within_s = {};
};

struct ChangeResult {
  bool changed = false, dry_run = false;
  uint64_t revision = 0, generation = 0;
  std::string digest;
  std::vector<std::string> late_workers;  // names
  std::vector<std::string> lines, restart, warnings;
  Forecast forecast;
  std::optional<Trial> trial;  // the revision is undone then
};

class Controller {
 public:
  Controller(model::Engine& engine, TopologySource& topology, StateStore& store, lb_hash_key key);

  // First compile and publication. With a state its revision goes on; without one, revision 1 is made of the file and
  // kept. REQUIRES: config is valid.
  net::Status start(const model::Config& config, const std::optional<State>& state);

  net::Result<ChangeResult> change(const std::vector<model::Change>& changes, const ChangeOptions& options);
  // Services and pools of `to` replace ours; `daemon` is only compared.
  net::Result<ChangeResult> replace(model::Config to, const ChangeOptions& options);
  // No new flows for these; they keep what they have. Overrides: durable, but no revision. expires_s: from now.
  // REQUIRES: they are in the configuration.
  net::Result<ChangeResult> drain(const std::vector<model::BackendName>& names, std::optional<int64_t> expires_s,
                                  const ChangeOptions& options);
  net::Result<ChangeResult> make_ready(const std::vector<model::BackendName>& names, const ChangeOptions& options);
  // Services and pools of a former revision, as a new one. Without a number: of the one before, and of the one that a
  // trial would go back to. ERRORS: kNotFound when it is not kept.
  net::Result<ChangeResult> rollback(std::optional<uint64_t> to, const ChangeOptions& options);
  // Ends the trial: the revision stays. ERRORS: kConflict when there is none.
  net::Result<ChangeResult> confirm(const ChangeOptions& options);
  // Services and pools of a revision. ERRORS: kNotFound when it is not kept.
  net::Result<model::Config> former(uint64_t revision) const;
  const std::optional<Trial>& trial() const { return state_.trial; }
  const History& history() const { return store_.history(); }
  // The same for overrides of what is announced: overlay is ours with them, lines say so.
  net::Result<ChangeResult> use_overrides(model::Overlay overlay, std::vector<std::string> lines,
                                          const ChangeOptions& options);
  // The kernel's routes or neighbours changed: compiles and publishes when that changes a next hop.
  void topology_changed();
  // Once a second: overrides that expire, leaving backends whose time is over or that have no flow any more, ids that
  // nothing names. Cheap when there is none of them.
  void tick();

  const model::Config& config() const { return config_; }
  const model::Snapshot& snapshot() const { return *snapshot_; }
  const model::Topology& topology() const { return topology_; }
  const model::IdTable& ids() const { return ids_; }
  const model::Overlay& overlay() const { return state_.overlay; }
  const std::string& digest() const { return state_.digest; }  // of services and pools
  uint64_t revision() const { return state_.revision; }
  uint64_t generation() const { return net::raw(snapshot_->generation); }
  // Distinct backends in the live tables of each service, by service index.
  const std::vector<size_t>& eligible() const { return eligible_; }
  model::Engine& engine() { return engine_; }
  TopologySource& topology_source() const { return source_; }
  // told: after each publication, when everything here tells of it.
  void on_publication(std::function<void()> told) { on_publication_ = std::move(told); }
  void set_clock(std::function<int64_t()> clock) { clock_ = std::move(clock); }  // seconds since 1970-01-01 UTC
  int64_t now() const { return clock_(); }
  // Traffic since a service or backend got its id.
  model::TrafficCounters traffic() const;

 private:
  struct Compiled {
    model::IdTable ids;
    model::Topology topology;
    std::shared_ptr<const model::Snapshot> snapshot;
  };
  net::Result<Compiled> compile(const model::Config& config, const model::Overlay& overlay);
  // How a change of services and pools is meant.
  struct Way {
    std::vector<std::string> lines = {};  // of the overlay
    uint64_t restores = 0;                // revision that comes back
    bool ends_trial = false;
    bool guarded = true;
  };
  net::Result<ChangeResult> commit(model::Config to, model::Overlay overlay, const ChangeOptions& options, Way way);
  ChangeResult unchanged(const ChangeOptions& options) const;
  // ERRORS: kConflict with what the operator must say; in a dry run they are warnings of the result.
  net::Status check_guards(const model::Config& to, const model::Overlay& overlay, const model::Diff& diff,
                           const Compiled& compiled, ChangeResult& result, const ChangeOptions& options);
  net::Status put_in_use(model::Config to, State next, Compiled& compiled, const model::Diff& diff,
                         const ChangeOptions& options, ChangeResult& result);
  net::Result<ChangeResult> go_back(uint64_t to, const ChangeOptions& options, bool guarded);
  void undo_trial();
  void remember(const model::Diff& diff);
  void complete_history();
  void expect(const Forecast& forecast);
  void grade_forecast();
  net::Error unexpected(uint64_t expected) const;
  net::Error on_trial() const;
  net::Result<model::PublishReport> publish(const Compiled& compiled);
  net::Status make_durable(const State& next, const Compiled& compiled, ChangeResult* result);
  model::Overlay tracked(model::Overlay overlay) const;
  bool wants_sweep(int64_t now) const;
  void sweep(model::Overlay& overlay, std::vector<std::string>& said, int64_t now);
  void release_ids(const model::FlowTotals& totals);
  void use_overlay(model::Overlay overlay, const std::vector<std::string>& said);
  void adopt(Compiled compiled);
  void start_counters(model::IdTable& ids, const model::TrafficCounters& now);

  model::Engine& engine_;
  TopologySource& source_;
  StateStore& store_;
  model::Compiler compiler_;
  model::Config config_;
  model::IdTable ids_;
  model::Topology topology_;
  std::shared_ptr<const model::Snapshot> snapshot_;  // shared with the engine, which keeps it until no worker reads it
  EligibleCounter counter_;                          // of snapshot_
  std::vector<size_t> eligible_;
  State state_;
  uint64_t last_generation_ = 0;
  model::TrafficCounters base_;  // by id: what the former owner of the id had
  std::function<int64_t()> clock_;
  std::function<void()> on_publication_;
  int64_t next_sweep_ = 0, next_tidy_ = 0, next_try_ = 0;
  // A forecast that is to be compared with what came of it.
  struct Grade {
    uint64_t revision = 0;
    int64_t due = 0;
    bool about = false;
    std::set<std::string> services = {};
    FlowForecast predicted = {};
    uint64_t moved_before = 0;
  };
  std::optional<Grade> grade_;
};

}  // namespace lb::ctl
