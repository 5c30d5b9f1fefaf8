// One DPDK Ethernet device: created from a driver's device string, or a NIC that DPDK found at its start; configured
// without offloads except RSS (so that drivers keep their vector paths), started; stopped and taken away when it ends.
// A virtual device that the process already has under that name is used and left.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/dpdk/eal.h"
#include "dataplane/model/engine.h"
#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

struct rte_mempool;

namespace lb::dpdk {

struct DeviceOptions {
  std::string name;       // net_pcap0; 0000:3b:00.0
  std::string arguments;  // rx_pcap=a,tx_pcap=b
  uint16_t workers = 1;   // that many queues each way, or as many as it has
  rte_mempool* pool = nullptr;
  uint16_t nic_mtu = 0;                   // of a NIC, which is told it; 0: no NIC
  std::span<const uint8_t> rss_key = {};  // random; the device takes as many bytes as it needs
  bool isolated = false;                  // it shares itself with the kernel, and brings only what flow rules ask for
};
inline constexpr size_t kRssKey = 128;  // bytes; devices take 40 or 52

struct DeviceCounters {
  uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0, rx_lost = 0, tx_lost = 0;
  std::vector<model::QueueCounters> rx_queues, tx_queues;  // without workers
};

class Device {
 public:
  // ERRORS: kNotFound (no such driver), kUnsupported (a NIC without driver), kInvalid (mtu), kUnavailable (the driver
  // refuses), with DPDK's words.
  static net::Result<std::unique_ptr<Device>> open(const DeviceOptions& options, Eal& eal);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  uint16_t id() const noexcept { return id_; }                // DPDK's port number
  uint16_t rx_queues() const noexcept { return rx_queues_; }  // at most one a worker
  uint16_t tx_queues() const noexcept { return tx_queues_; }  // at most one a worker
  // Packets of a flow come in by the same queue, whoever sends them.
  bool keeps_flows() const;
  const std::string& why_no_rss() const noexcept { return why_no_rss_; }  // empty: several queues, with RSS
  // Of an isolated device, whose rules decide it.
  void set_why_no_rss(std::string why) { why_no_rss_ = std::move(why); }
  uint8_t rss_key_size() const;  // bytes
  net::Mac mac() const;
  bool link_up() const;
  std::string driver() const;  // net_pcap
  DeviceCounters counters() const;

 private:
  Device(uint16_t id, std::string created, bool nic) : id_(id), nic_(nic), created_(std::move(created)) {}
  net::Status configure(const DeviceOptions& options);
  int configure_queues(const DeviceOptions& options, uint64_t flow_types, uint8_t key_size);
  int set_up_queues(const DeviceOptions& options);
  void confirm_rss(const DeviceOptions& options, uint64_t flow_types, uint8_t key_size);
  void confirm_table(uint16_t size);

  uint16_t id_;
  bool nic_;
  uint16_t rx_queues_ = 0, tx_queues_ = 0;
  std::string why_no_rss_ = "it has one queue";
  std::string created_;  // name of the virtual device to take away; empty: somebody else's
};

// How many more devices DPDK can have.
uint32_t free_devices();

}  // namespace lb::dpdk
