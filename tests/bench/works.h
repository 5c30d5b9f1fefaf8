// What is measured: each does one batch of 64 packets, or of 64 reads, at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/dpdk/queues.h"
#include "dataplane/dpdk/rx.h"
#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/flow_table.h"
#include "dataplane/stages/worker_state.h"
#include "tests/bench/traffic.h"

namespace lb::bench {

class Work {
 public:
  virtual ~Work() = default;
  virtual void batch() = 0;
};

// Receives from net_null and sends to it: 64 buffers taken from the pool, and given back.
struct Port {
  uint16_t device = 0;
  dpdk::RxQueue rx() const;
  dpdk::TxQueue tx() const;
};

// Buffers only; with a generator, frames are written into them: the difference is what the generator costs.
class Io : public Work {
 public:
  Io(Port port, Traffic* traffic) : port_(port), traffic_(traffic) {}
  void batch() override;

 private:
  Port port_;
  Traffic* traffic_;
};

// As testpmd's forward mode of that name. Without a generator it is the same program to compare with.
class MacSwap : public Work {
 public:
  MacSwap(Port port, Traffic* traffic) : port_(port), traffic_(traffic) {}
  void batch() override;

 private:
  Port port_;
  Traffic* traffic_;
};

// Reads one line of the table for each packet, all 64 asked for in advance.
class RandomRead : public Work {
 public:
  explicit RandomRead(const stages::FlowTable& table) : table_(table) {}
  void batch() override;
  uint64_t sum() const { return sum_; }

 private:
  const stages::FlowTable& table_;
  uint64_t random_ = 0x9e3779b97f4a7c15ull, sum_ = 0;
};

// A worker's poll, with the generator between rx and the stages.
class Forward : public Work {
 public:
  Forward(Port port, const TrafficOptions& traffic, const model::Snapshot& snapshot, const stages::FlowTable* table);
  void batch() override;
  const uint64_t* counters() const { return state_.counters; }
  Traffic& traffic() { return traffic_; }
  // From now on it is always this time, so that every batch does the same work.
  void freeze(uint64_t now_ms) { frozen_ms_ = now_ms; }

  // The same, but for a time stamp behind every stage: cycles since the last call, by stage.
  static std::span<const char* const> stages();
  void batch_by_stage(std::span<uint64_t> cycles);

 private:
  uint32_t take();

  Port port_;
  std::vector<dpdk::TxQueue> tx_;
  dpdk::RxQueue rx_;
  Traffic traffic_;
  const model::Snapshot& snapshot_;
  stages::WorkerState state_;
  stages::FlowTracker tracker_;
  stages::FlowTracker* flows_ = nullptr;
  uint64_t frozen_ms_ = 0;  // 0: time goes on
  std::unique_ptr<stages::Batch> batch_ = std::make_unique<stages::Batch>();
  dpdk::Burst burst_;
};

}  // namespace lb::bench
