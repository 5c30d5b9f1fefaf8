// Packets that must be cut (stages/split.h): buffers for the pieces, which leave before the rest of the batch.
#pragma once

#include <span>

#include "dataplane/dpdk/queues.h"
#include "dataplane/dpdk/rx.h"
#include "dataplane/model/snapshot.h"

namespace lb::dpdk {

// Every slot of Batch::splits becomes kForward, or kDrop when its first piece found no room; its own buffer goes back
// to its pool, which those of the pieces come from. to: by PortId. pieces: grows by what the queues took. RETURNS: the
// slots whose buffers are given away: all of them.
uint64_t send_pieces(std::span<const TxQueue> to, const Burst& burst, stages::Batch& b, const model::Snapshot& snapshot,
                     uint64_t& pieces) noexcept;

}  // namespace lb::dpdk
