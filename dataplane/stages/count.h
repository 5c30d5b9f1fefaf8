// The bookkeeping of a batch: after run() and after the egress queues have answered, each packet is counted under
// exactly one verdict, its service and backend when it was forwarded. What Fragments holds is counted when it has left
// there.
#pragma once

#include "dataplane/stages/batch.h"
#include "dataplane/stages/worker_state.h"

namespace lb::stages {

// rx_bytes: of the n frames as they came in. What the egress did not take was turned into drop(TxFull) by the engine
// before.
void count(const Batch& b, uint32_t n, uint64_t rx_bytes, WorkerState& w) noexcept;

// The verdicts alone, of an engine whose batches are not always what came in by a port.
void count_verdicts(const Batch& b, uint32_t n, const Tally& w) noexcept;
inline void count_verdicts(const Batch& b, uint32_t n, WorkerState& w) noexcept {
  count_verdicts(b, n, w.tally());
}

}  // namespace lb::stages
