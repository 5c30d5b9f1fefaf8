// Where a worker takes packets from and gives them to. Plain values, filled at start, read by one worker.
#pragma once

#include <array>
#include <cstdint>

namespace lb::dpdk {

struct RxQueue {
  uint16_t device = 0;  // DPDK's port number
  uint16_t queue = 0;
  std::array<uint8_t, 6> mac{};  // of the port
  bool kernel_copy = false;      // the kernel sees every frame too (AF_PACKET)
};

struct TxQueue {
  uint16_t device = 0;
  uint16_t queue = 0;
  uint16_t largest_frame = 0;  // what the driver takes; longer ones would be cut, or overrun its buffers
};

}  // namespace lb::dpdk
