// Stage 0: a burst from a queue into a Batch.
#pragma once

#include <array>

#include "dataplane/dpdk/queues.h"
#include "dataplane/stages/batch.h"

struct rte_mbuf;

namespace lb::dpdk {

using Burst = std::array<rte_mbuf*, stages::kBatch>;

// RETURNS: how many packets; they are slots 0.. of b, ready for stages::run(). bytes: sum of their lengths.
uint32_t receive(const RxQueue& from, Burst& burst, stages::Batch& b, uint64_t& bytes) noexcept;

}  // namespace lb::dpdk
