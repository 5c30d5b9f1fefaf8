// What control sees of flow tables, whoever made their memory and whoever writes it: counts and records. What differs
// between engines, how an entry is forgotten and how a former table goes, is left to them. Reads while workers write,
// see net/flow_line.h. Control thread only.
#pragma once

#include <span>
#include <vector>

#include "dataplane/model/flows.h"
#include "dataplane/stages/flow_table.h"

namespace lb::flows {

class FlowView : public model::FlowTables {
 public:
  // current: by worker. former: sets of former lbds, newest first, each by worker. capacity: flows, whole node.
  FlowView(std::span<const stages::FlowTable> current, std::span<const std::span<const stages::FlowTable>> former,
           uint64_t capacity);

  model::FlowTotals count() override;
  std::optional<uint64_t> scan(uint64_t position, uint64_t lines, const std::function<void(const model::Flow&)>& each,
                               Which which = Which::kLive) override;

  // For worker w: its own, and where it may look else.
  const stages::FlowTable& of(uint32_t worker) const noexcept { return tables_[worker]; }
  const std::vector<stages::FlowTable>& others_of(uint32_t worker) const noexcept { return others_[worker]; }
  std::span<const stages::FlowTable> all() const noexcept { return tables_; }
  uint32_t workers() const noexcept { return static_cast<uint32_t>(others_.size()); }

 private:
  void show(uint32_t table, uint32_t line, uint64_t now_ms, const std::function<void(const model::Flow&)>& each,
            Which which) const;
  bool is_current_too(uint64_t hash) const noexcept;

  uint64_t capacity_;
  std::vector<stages::FlowTable> tables_;  // of our workers, then former ones, newest first
  std::vector<uint32_t> worker_numbers_;   // of each table
  std::vector<std::vector<stages::FlowTable>> others_;
};

// Whether a former set has no flow left.
bool is_empty(std::span<const stages::FlowTable> former, uint64_t now_ms) noexcept;

}  // namespace lb::flows
