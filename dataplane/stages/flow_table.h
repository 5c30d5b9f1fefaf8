// The flow tables as a worker sees them: its own, which nobody else writes; those of the others and of a former lbd,
// which it only reads. Plain views of memory that somebody else maps and keeps.
//
// Threads: everything belongs to the worker, but FlowTable::lines and cold, which others read, FlowTable::in_use, which
// control clears, and FlowRequests, which control fills.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "dataplane/net/flow_line.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

// What each worker's table tells of itself, in the mapping, so that the next lbd knows how old it is.
struct FlowHeartbeat {
  uint64_t now_ms = 0;  // when its worker was last there; relaxed
};

struct FlowTable {
  lb_flow_line* lines = nullptr;
  lb_flow_cold* cold = nullptr;  // of entry e of line l: cold[l * LB_FLOW_ENTRIES + e]
  uint32_t count = 0;            // lines; 0: no table
  FlowHeartbeat* heartbeat = nullptr;
  bool former = false;                        // nobody writes it any more
  const std::atomic<bool>* in_use = nullptr;  // former ones: false once it is empty; null: always

  bool is_in_use() const noexcept { return in_use == nullptr || in_use->load(std::memory_order_relaxed); }
};

// An entry to be forgotten, if it is still the flow's.
struct FlowRequest {
  uint32_t line = 0;
  uint16_t entry = 0;
  uint32_t tags = 0;
};

// From control to one worker: one writer, one reader.
class FlowRequests {
 public:
  bool push(const FlowRequest& r) noexcept {
    const uint32_t at = tail_.load(std::memory_order_relaxed);
    if (at - head_.load(std::memory_order_acquire) == kSlots) return false;
    slots_[at % kSlots] = r;
    tail_.store(at + 1, std::memory_order_release);  // partner: the load in pop()
    return true;
  }
  bool pop(FlowRequest& r) noexcept {
    const uint32_t at = head_.load(std::memory_order_relaxed);
    if (at == tail_.load(std::memory_order_acquire)) return false;
    r = slots_[at % kSlots];
    head_.store(at + 1, std::memory_order_release);  // partner: the load in push()
    return true;
  }

 private:
  static constexpr uint32_t kSlots = 4096;
  alignas(64) std::atomic<uint32_t> head_ = 0;  // worker writes
  alignas(64) std::atomic<uint32_t> tail_ = 0;  // control writes
  alignas(64) std::array<FlowRequest, kSlots> slots_{};
};

struct FlowEntry {
  lb_flow_line* line = nullptr;
  uint32_t index = 0;
};

class FlowTracker {
 public:
  FlowTracker() = default;
  // counters: LB_COUNT_MAX of them. others: newest first, of lbd now before those of former ones; outlives it.
  FlowTracker(const FlowTable& own, std::span<const FlowTable> others, uint64_t* counters) noexcept
      : own_(own), others_(others), counters_(counters) {}

  const FlowTable& own() const noexcept { return own_; }
  uint64_t now_ms() const noexcept { return now_ms_; }
  // Time goes on: once a loop, before a batch. Gives the foreign lookup its due, marks what has timed out in a part of
  // the table so that all of it is visited every LB_FLOW_SWEEP_MS, and does what control asked for.
  void tick(uint64_t now_ms, FlowRequests* requests) noexcept;

  // Of one batch, from find_flows() to keep_flows().
  struct Work {
    std::array<lb_flow_line*, kBatch> first, second;  // second: of those not found in their first line
    std::array<FlowEntry, kBatch> replace;            // when the bit in replaced is set: the flow's, for a new backend
    std::array<uint16_t, kBatch> state;               // when the bit in copied is set: of a flow found elsewhere
    uint64_t replaced = 0, copied = 0;
  };
  Work work;

  lb_flow_cold& cold_of(const FlowEntry& e) const noexcept {
    return own_.cold[static_cast<size_t>(e.line - own_.lines) * LB_FLOW_ENTRIES + e.index];
  }
  std::span<const FlowTable> others() const noexcept { return others_; }
  // Whether a lookup in the others' tables is within the rate; takes its price.
  bool may_look_elsewhere() noexcept;
  void count(lb_counter what, uint64_t by) noexcept;

 private:
  void sweep(uint64_t elapsed_ms) noexcept;
  void forget(const FlowRequest& r) noexcept;

  FlowTable own_;
  std::span<const FlowTable> others_;
  uint64_t* counters_ = nullptr;
  uint64_t now_ms_ = 0;
  uint64_t budget_ = 0;      // lines of others' tables that may be read now
  uint32_t sweep_at_ = 0;    // the next line
  uint64_t sweep_rest_ = 0;  // lines owed, in 1/LB_FLOW_SWEEP_MS
};

// After a pause that began at `heartbeat`, marks what timed out meanwhile, so that the time fields, which wrap, tell
// the truth again. For the owner of a table, before its first tick().
void catch_up(const FlowTable& table, uint64_t now_ms) noexcept;

// The state of an entry of a table that nobody has swept since its heartbeat.
uint16_t state_at(const FlowTable& table, uint16_t state, uint64_t now_ms) noexcept;

}  // namespace lb::stages
