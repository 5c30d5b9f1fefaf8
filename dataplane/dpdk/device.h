// One DPDK Ethernet device: created from a driver's device string, configured without offloads, started; stopped and
// taken away when it ends. A device that the process already has under that name is used and left.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/dpdk/eal.h"
#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

struct rte_mempool;

namespace lb::dpdk {

struct DeviceOptions {
  std::string name;       // net_pcap0
  std::string arguments;  // rx_pcap=a,tx_pcap=b
  uint16_t workers = 1;   // each needs a transmit queue of its own
  rte_mempool* pool = nullptr;
};

struct DeviceCounters {
  uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0, rx_lost = 0, tx_lost = 0;
};

class Device {
 public:
  // ERRORS: kNotFound (no such driver), kUnavailable (the driver refuses), kInvalid (too few queues); with DPDK's
  // words.
  static net::Result<std::unique_ptr<Device>> open(const DeviceOptions& options, Eal& eal);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  uint16_t id() const noexcept { return id_; }                // DPDK's port number
  uint16_t rx_queues() const noexcept { return rx_queues_; }  // at most one a worker
  net::Mac mac() const;
  bool link_up() const;
  std::string driver() const;  // net_pcap
  DeviceCounters counters() const;

 private:
  Device(uint16_t id, std::string created) : id_(id), created_(std::move(created)) {}
  net::Status configure(const DeviceOptions& options);

  uint16_t id_;
  uint16_t rx_queues_ = 0;
  std::string created_;  // name of the virtual device to take away; empty: somebody else's
};

// How many more devices DPDK can have.
uint32_t free_devices();

}  // namespace lb::dpdk
