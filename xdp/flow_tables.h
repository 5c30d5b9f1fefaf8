// model::FlowTables over the maps that programs write: what control sees of them, and the sweep. Entries of programs'
// tables change here by a 16-bit compare-and-exchange of the state alone, which loses against a packet and never undoes
// what one wrote.
//
// Threads: control's, but sweep() and drain(), which one other thread calls (the keeper). The last worker's table is
// written by the exception path's thread, which sweeps it itself (stages::FlowTracker).
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "dataplane/flows/flow_view.h"
#include "xdp/flow_maps.h"

namespace lb::xdp {

// Visits lines in turn, all of them every LB_FLOW_SWEEP_MS, and marks what timed out.
class Sweep {
 public:
  Sweep() = default;
  // lines: of the set, not empty. From the set's heartbeat on.
  Sweep(const FlowSet& set, std::span<lb_flow_line> lines) noexcept
      : set_(&set), lines_(lines), then_ms_(set.heartbeat(kByPrograms).now_ms) {}
  void go_on(uint64_t now_ms) noexcept;

 private:
  const FlowSet* set_ = nullptr;
  std::span<lb_flow_line> lines_;
  uint64_t then_ms_ = 0;
  uint64_t rest_ = 0;  // lines owed, in 1/LB_FLOW_SWEEP_MS
  size_t at_ = 0;
};

class FlowTables : public flows::FlowView {
 public:
  FlowTables(std::unique_ptr<FlowMaps> maps, uint64_t capacity);

  // With the flows whose records are in a log when it begins.
  std::optional<uint64_t> scan(uint64_t position, uint64_t lines, const std::function<void(const model::Flow&)>& each,
                               Which which = Which::kLive) override;
  bool forget(const model::Flow& flow) override;
  std::span<uint64_t> backend_ids() override { return maps_->backend_ids(); }
  void tidy() override;

  // Every few milliseconds to every second, with flow_clock_ms(). After a pause of LB_FLOW_SWEEP_MS it takes as long as
  // all the lines need.
  void sweep(uint64_t now_ms) noexcept;
  // Takes new flows' records from all logs. Any thread. RETURNS: how many the fullest had.
  size_t drain() noexcept;

  FlowMaps& maps() noexcept { return *maps_; }

 private:
  std::unique_ptr<FlowMaps> maps_;
  Sweep current_, former_;
  std::mutex draining_;
};

// What became of entries while nobody swept. Programs may have written until `until_ms`; now_ms: and may still. An
// entry of class once whose time field wrapped meanwhile (65 s) may seem young: it stays for one timeout more.
void catch_up(std::span<lb_flow_line> lines, uint64_t until_ms, uint64_t now_ms) noexcept;

// What is in all logs of a set, to the records' places. One thread a time. RETURNS: how many the fullest had.
size_t drain(const FlowSet& set) noexcept;

// The same for a set that was found: from its heartbeats and its header to now, for all workers.
void catch_up(const FlowSet& set, uint64_t now_ms) noexcept;

}  // namespace lb::xdp
