// What a change would do to flows: tables compared slot by slot. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/model/flows.h"
#include "dataplane/model/snapshot.h"

namespace lb::ctl {

// Flows of a service beyond their first packet.
struct FlowForecast {
  uint64_t live = 0;
  uint64_t pinned = 0;  // would keep a backend that the table would not choose for them
  uint64_t moved = 0;   // their backend would serve them no more
  uint64_t ended = 0;   // nobody would listen there any more
};

struct ServiceForecast {
  std::string service;
  double slots_moved = 0;  // share 0..1 of the hash space whose backend differs, mean of both families; new service: 1
  size_t eligible_before = 0, eligible_after = 0;
  bool same_way = true;  // schedule and prefix as before
  FlowForecast flows = {};
};

struct Forecast {
  // Services that differ between two snapshots of one id table, and those that would lose flows, by name.
  std::vector<ServiceForecast> services;
  bool tracked = false;  // there is a flow table, so that `flows` means something
  bool about = false;    // flows were counted in a part of it and scaled
};

// Share of hashes that two tables, of any two sizes, send to different backends. Empty tables differ from all others.
double slots_moved(std::span<const uint16_t> before, std::span<const uint16_t> after);

// Backends that a service's tables send anything to. A table that services share is counted once, and what `before`
// counted is not counted again.
class EligibleCounter {
 public:
  EligibleCounter() = default;
  // before: of a snapshot that still lives, so that equal pointers are equal tables.
  explicit EligibleCounter(const EligibleCounter* before) : before_(before) {}
  size_t count(const model::Snapshot& snapshot, const lb_service& service);
  void forget_before() { before_ = nullptr; }

 private:
  using Tables = std::pair<const uint16_t*, const uint16_t*>;  // of IPv4 and IPv6
  std::map<Tables, size_t> counted_;
  const EligibleCounter* before_ = nullptr;
};

// Of services only; before may be null. Removed services are not listed.
std::vector<ServiceForecast> forecast_tables(const model::Snapshot* before, const model::Snapshot& after);

// What would become of the flows of each service of `before`, by name. One pass over the flow tables, or over a part of
// a large one: lines are filled by the flow hash, so that any part is like the whole. RETURNS: whether it was a part.
bool forecast_flows(model::FlowTables& tables, const model::Snapshot& before, const model::Snapshot& after,
                    std::map<std::string, FlowForecast>& services);

// Both. tables: may be null.
Forecast forecast(model::FlowTables* tables, const model::Snapshot& before, const model::Snapshot& after);

// The record of a service in a snapshot, by index; null when it is not in it.
const lb_service* service_at(const model::Snapshot& snapshot, size_t index);

}  // namespace lb::ctl
