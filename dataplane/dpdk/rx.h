// Stage 0: a burst from a queue into a Batch.
#pragma once

#include <array>

#include "dataplane/dpdk/queues.h"
#include "dataplane/stages/batch.h"

struct rte_mbuf;

namespace lb::dpdk {

using Burst = std::array<rte_mbuf*, stages::kBatch>;

// What came in with a burst; handed_out and handoff_full of it are not in the batch.
struct Arrival {
  uint32_t packets = 0;
  uint32_t handed_out = 0;    // to the workers whose flows they are
  uint32_t handoff_full = 0;  // lost: the ring to that worker was full
  uint64_t bytes = 0;         // of all
};

// RETURNS: how many packets are slots 0.. of b, ready for stages::run().
uint32_t receive(const RxQueue& from, Burst& burst, stages::Batch& b, Arrival& arrival) noexcept;

}  // namespace lb::dpdk
