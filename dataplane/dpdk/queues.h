// Where a worker takes packets from and gives them to. Plain values, filled at start, read by one worker. A ring stands
// in for a device's queue where the device has fewer than there are workers: one worker at each end.
#pragma once

#include <array>
#include <cstdint>

struct rte_mempool;
struct rte_ring;

namespace lb::dpdk {

class Handoff;
struct PuntRings;

struct RxQueue {
  uint16_t device = 0;  // DPDK's port number
  uint16_t queue = 0;
  uint16_t port = 0;                 // PortId
  std::array<uint8_t, 6> mac{};      // of the port
  bool kernel_copy = false;          // the kernel sees every frame too (AF_PACKET)
  rte_ring* ring = nullptr;          // instead of the device's queue: what the worker that polls that one hands over
  Handoff* handoff = nullptr;        // the queue brings packets of all workers; null: of this one's flows only
  const PuntRings* punts = nullptr;  // what is punted goes there; null: the port has no exception path
  rte_mempool* pool = nullptr;       // buffers for what has waited outside of any
};

struct TxQueue {
  uint16_t device = 0;
  uint16_t queue = 0;
  uint16_t largest_frame = 0;  // what the driver takes; longer ones would be cut, or overrun its buffers
  rte_ring* ring = nullptr;    // instead of the device's queue: the worker that has that one sends what lies here
};

// What a worker sends for another that has no queue of its own.
struct Relay {
  rte_ring* from = nullptr;
  TxQueue to;
};

}  // namespace lb::dpdk
