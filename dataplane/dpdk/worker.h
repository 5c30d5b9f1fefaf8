// A poll-mode worker: one thread on one core that receives, runs the stages, sends and counts, in a loop. Its busy path
// has no allocation, lock, log or system call of ours (drivers of kernel interfaces make their own); with idle: sleep
// it sleeps when nothing came.
//
// Threads: run() is the worker's; state is written by the worker and read by control (relaxed); the rest is set before.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "dataplane/dpdk/queues.h"
#include "dataplane/dpdk/rcu.h"
#include "dataplane/dpdk/rx.h"
#include "dataplane/model/config.h"
#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/flow_table.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/worker_state.h"

namespace lb::dpdk {

struct WorkerOptions {
  uint32_t number = 0;
  std::vector<RxQueue> rx;
  std::vector<TxQueue> tx;  // by PortId
  std::vector<Relay> relays;
  model::Idle idle = model::Idle::kSleep;
  stages::FlowTable flow_table{};                    // count 0: no tracking
  std::span<const stages::FlowTable> other_flows{};  // outlives the worker
  stages::FlowRequests* flow_requests = nullptr;
  stages::FragmentOptions fragments{};
};

class alignas(64) Worker {
 public:
  // Both outlive it.
  Worker(WorkerOptions options, Readers& readers, const Published<model::Snapshot>& snapshots)
      : options_(std::move(options)),
        readers_(readers),
        snapshots_(snapshots),
        tracker_(options_.flow_table, options_.other_flows, state_.counters),
        fragments_(state_.counters, options_.fragments),
        own_{.flows = options_.flow_table.count > 0 ? &tracker_ : nullptr,
             .fragments = &fragments_,
             .answers = &answers_} {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void run() noexcept;                                                    // until stop()
  void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }  // from any thread
  uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }
  const stages::WorkerState& state() const noexcept { return state_; }
  // Before run(): the others look into these, and it into theirs, which outlive it.
  const stages::Datagrams& datagrams() const noexcept { return fragments_.datagrams(); }
  void set_other_datagrams(std::span<const stages::Datagrams* const> others) noexcept { fragments_.set_others(others); }

 private:
  void tick() noexcept;
  uint32_t poll(const RxQueue& queue, const model::Snapshot& snapshot) noexcept;
  void finish(const RxQueue& queue, uint32_t n, const model::Snapshot& snapshot) noexcept;
  void go_on_with_woken(const model::Snapshot& snapshot) noexcept;
  void count_arrival(const RxQueue& queue, const Arrival& arrival) noexcept;
  void rest(uint32_t idle_polls) noexcept;

  WorkerOptions options_;
  Readers& readers_;
  const Published<model::Snapshot>& snapshots_;
  alignas(64) std::atomic<bool> stop_ = false;        // control writes, worker reads
  alignas(64) std::atomic<uint64_t> generation_ = 0;  // worker writes, control reads: what it uses now
  stages::WorkerState state_;
  stages::FlowTracker tracker_;
  stages::Fragments fragments_;
  stages::Answers answers_;
  stages::Belongings own_;  // flows: null: no tracking
  stages::Batch batch_;
  Burst burst_;
};

}  // namespace lb::dpdk
