// A port whose wire is in this process: the test puts frames into its receive rings and takes what was sent from its
// transmit rings. The engine opens it by name. Buffers come from a pool of the test, so that a lost one shows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/dpdk/buffers.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/net/address.h"

struct rte_mbuf;
struct rte_ring;

namespace lb::dpdk::testing {

// DPDK for all tests of a program: four worker lcores on two of the cores there are. What was logged: taken with the
// Eal.
Eal& test_eal();

class RingPort {
 public:
  // The driver gives itself a MAC that cannot be set: frames to `mac` are put on the wire with that one instead,
  // and what the port sends from that one is from `mac` when it is taken.
  RingPort(const std::string& name, uint16_t queues, const net::Mac& mac) : RingPort(name, queues, queues, mac) {}
  RingPort(const std::string& name, uint16_t rx_queues, uint16_t tx_queues, const net::Mac& mac);
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;
  ~RingPort();

  std::string device() const { return "net_ring_" + name_; }
  // false: the ring is full or there is no buffer. headroom: free bytes in front of the frame.
  bool inject(Buffers& buffers, std::span<const uint8_t> frame, uint16_t queue = 0, uint16_t headroom = kHeadroom);
  // A frame in two segments, the second of which starts at `cut`.
  bool inject_segments(Buffers& buffers, std::span<const uint8_t> frame, size_t cut);
  std::optional<std::vector<uint8_t>> take(uint16_t queue = 0);
  uint32_t waiting(uint16_t queue = 0) const;  // frames sent and not yet taken
  uint16_t tx_queues() const { return static_cast<uint16_t>(tx_.size()); }

 private:
  void address_to_own_mac(rte_mbuf* m) const;

  std::string name_;
  net::Mac mac_, own_mac_;
  uint16_t id_ = 0;
  std::vector<rte_ring*> rx_, tx_;
};

}  // namespace lb::dpdk::testing
