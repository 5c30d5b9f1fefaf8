// Stage 7: a Batch to the egress queues, one burst per port. What a queue does not accept becomes drop(TxFull). Every
// buffer of the burst is given away: to a driver, or back to its pool; a driver's is never touched again. Those of the
// slots in `given` are somebody else's already.
#pragma once

#include <span>

#include "dataplane/dpdk/queues.h"
#include "dataplane/dpdk/rx.h"

namespace lb::dpdk {

// to: by PortId. REQUIRES: every slot 0..n-1 has its verdict.
void send(std::span<const TxQueue> to, const Burst& burst, uint32_t n, stages::Batch& b, uint64_t given = 0) noexcept;

// RETURNS: how many of the packets the queue took, the first ones.
uint32_t give(const TxQueue& to, rte_mbuf** packets, uint16_t count) noexcept;

// What a driver may still hold back for a full queue (AF_XDP's send() can answer ENOBUFS) is pushed.
void flush(std::span<const TxQueue> to) noexcept;

}  // namespace lb::dpdk
