// The one way by which anything changes what workers use:
//   change -> apply -> validate -> compile -> durable state -> publish -> rename -> answer
// Owns the configuration, the ids, the compiler, revision and generation. On a failure anywhere the old state stands:
// on disk, in the workers, in the answers. Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ctl/forecast.h"
#include "ctl/state_store.h"
#include "ctl/topology_source.h"
#include "dataplane/model/change.h"
#include "dataplane/model/diff.h"
#include "dataplane/model/engine.h"
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
  std::optional<uint64_t> allow_remove;
};

struct ChangeResult {
  bool changed = false, dry_run = false;
  uint64_t revision = 0, generation = 0;
  std::string digest;
  std::vector<uint32_t> late_workers;  // cores
  std::vector<std::string> lines, restart, warnings;
  std::vector<ServiceForecast> forecast;
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
  // The kernel's routes or neighbours changed: compiles and publishes when that changes a next hop.
  void topology_changed();

  const model::Config& config() const { return config_; }
  const model::Snapshot& snapshot() const { return *snapshot_; }
  const model::Topology& topology() const { return topology_; }
  const model::IdTable& ids() const { return ids_; }
  const std::string& digest() const { return state_.digest; }  // of services and pools
  uint64_t revision() const { return state_.revision; }
  uint64_t generation() const { return net::raw(snapshot_->generation); }
  // Distinct backends in the live tables of each service, by service index.
  const std::vector<size_t>& eligible() const { return eligible_; }
  model::Engine& engine() { return engine_; }
  TopologySource& topology_source() { return source_; }
  // Traffic since a service or backend got its id.
  model::TrafficCounters traffic() const;

 private:
  struct Compiled {
    model::IdTable ids;
    model::Topology topology;
    std::shared_ptr<const model::Snapshot> snapshot;
  };
  net::Result<Compiled> compile(const model::Config& config);
  net::Result<ChangeResult> commit(model::Config to, const ChangeOptions& options);
  net::Error unexpected(uint64_t expected) const;
  net::Status guard(const model::Diff& diff, const model::Config& to, const ChangeOptions& options) const;
  net::Status make_durable(const State& next, const Compiled& compiled, ChangeResult* result);
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
};

// Addresses of all backends.
std::set<net::Address> backend_addresses(const model::Config& config);

}  // namespace lb::ctl
