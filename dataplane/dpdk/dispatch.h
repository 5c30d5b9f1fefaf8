// Dispatch in software: where a device does not keep a flow on one queue of its own for every worker, the worker that
// polls a queue hashes addresses and ports and hands packets of other workers' flows over, by rings with one worker at
// each end, a burst at a time. The same rings the other way round let workers share a transmit queue.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/dpdk/queues.h"
#include "dataplane/dpdk/rx.h"
#include "dataplane/net/abi.h"

namespace lb::dpdk {

// Random, the node's own: who does not know it cannot send everything to one worker.
using SpreadKey = std::array<uint64_t, 4>;

inline constexpr uint32_t kNoWorker = UINT32_MAX;

// Which of the workers has the frame's flow. By addresses and ports; by addresses alone when there are no ports to be
// seen: fragments (the first one too, so that a datagram meets one worker), ICMP, extension headers.
// RETURNS: kNoWorker for what is no IP packet to that MAC; any worker can deal with it.
uint32_t worker_of(const uint8_t* frame, uint32_t length, const std::array<uint8_t, 6>& mac, const SpreadKey& key,
                   uint32_t workers) noexcept;

// One for each receive queue; belongs to the worker that polls it.
class Handoff {
 public:
  // to: by worker; null for the one that this is.
  Handoff(uint32_t self, const SpreadKey& key, std::vector<rte_ring*> to)
      : self_(self), key_(key), to_(std::move(to)) {}

  // Packets of other workers leave the burst: they are handed over, or freed when the ring is full; arrival tells how
  // many, and gets their bytes.
  // RETURNS: how many stay; they are the first ones of the burst, in order of arrival.
  uint32_t split(const RxQueue& from, Burst& burst, uint32_t n, Arrival& arrival) noexcept;

 private:
  using Shares = std::array<uint64_t, LB_MAX_WORKERS>;  // by worker: bits of the packets that are its

  uint64_t share_out(const RxQueue& from, const Burst& burst, uint32_t n, Shares& shares,
                     uint64_t& bytes) const noexcept;
  void hand_over(uint32_t worker, uint64_t share, const Burst& burst, Arrival& arrival) noexcept;

  uint32_t self_;
  SpreadKey key_;
  std::vector<rte_ring*> to_;
};

// Sends what waits in the ring; what the queue does not take stays there. RETURNS: how many packets were taken.
uint32_t relay(const Relay& relay) noexcept;

}  // namespace lb::dpdk
