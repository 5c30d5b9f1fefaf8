// Who polls and who fills which queue of a port, and the rings between workers where the device has too few queues or
// does not keep a flow on one. Control thread; made before the workers start, freed with what lies in them after they
// ended.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/dpdk/dispatch.h"
#include "dataplane/dpdk/queues.h"
#include "dataplane/host/sizes.h"
#include "dataplane/net/result.h"

struct rte_ring;

namespace lb::dpdk {

using host::kRing;

struct RingDelete {
  void operator()(rte_ring* ring) const noexcept;
};
using Ring = std::unique_ptr<rte_ring, RingDelete>;
net::Result<Ring> make_ring();

class DispatchRings {
 public:
  // rx, tx: the device's queues; neither is empty. software: the packets of every receive queue are spread over all
  // workers by hash, else all workers have queues of their own.
  static net::Result<DispatchRings> make(const std::vector<RxQueue>& rx, const std::vector<TxQueue>& tx,
                                         uint32_t workers, bool software, const SpreadKey& key);

  // Queue q belongs to worker q % workers; of transmit queues, those beyond the workers are not used.
  const std::vector<RxQueue>& rx_of(uint32_t worker) const { return ends_[worker].rx; }
  const TxQueue& tx_of(uint32_t worker) const { return ends_[worker].tx; }
  const std::vector<Relay>& relays_of(uint32_t worker) const { return ends_[worker].relays; }
  // The worker that a frame to that MAC is handed to; none when the device chooses, or any of them will do.
  std::optional<uint32_t> worker_of(std::span<const uint8_t> frame, const std::array<uint8_t, 6>& mac) const;

 private:
  struct Ends {
    std::vector<RxQueue> rx;
    TxQueue tx;
    std::vector<Relay> relays;
  };
  net::Status spread(RxQueue queue, uint32_t poller, const SpreadKey& key);
  net::Result<rte_ring*> add_ring();

  std::vector<Ends> ends_;                 // by worker
  std::optional<SpreadKey> software_key_;  // none: the device chooses
  std::vector<Ring> rings_;
  std::vector<std::unique_ptr<Handoff>> handoffs_;
};

}  // namespace lb::dpdk
