#include "dataplane/dpdk/device.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_log.h>

#include "dataplane/host/pci_port.h"
#include "dataplane/host/port_plan.h"

namespace lb::dpdk {
namespace {

constexpr uint64_t kFlowTypes = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
constexpr uint8_t kUsualRssKey = 40;     // bytes, of a device that does not say
constexpr uint16_t kDescriptors = 1024;  // half a millisecond, the longest idle sleep, at 2 M packets/s

net::Error refused(const DeviceOptions& o, const char* step, int error, Eal& eal) {
  const std::string words = eal.take_complaints();
  return {net::Code::kUnavailable,
          fmt::format("DPDK device {}: {}: {}{}{}", o.name, step, strerror(error), words.empty() ? "" : ": ", words)};
}

net::Error unknown_driver(const DeviceOptions& o) {
  return {net::Code::kNotFound,
          fmt::format("no driver for the DPDK device '{}'; there are net_af_packet, net_af_xdp, net_memif, net_null, "
                      "net_pcap, net_ring, net_tap, eth_vhost, virtio_user",
                      o.name)};
}

// Not every driver counts by queue, and none does beyond 16: it is believed where its queues make up the whole.
std::vector<model::QueueCounters> by_queue(uint16_t queues, const uint64_t* packets, const uint64_t* bytes,
                                           const uint64_t* lost, uint64_t all) {
  std::vector<model::QueueCounters> list(queues);
  const uint16_t known = std::min<uint16_t>(queues, RTE_ETHDEV_QUEUE_STAT_CNTRS);
  const bool counted =
      queues == known && (all == 0 || std::any_of(packets, packets + known, [](uint64_t n) { return n != 0; }));
  for (uint16_t q = 0; q < queues; q++) {
    list[q].queue = q;
    list[q].counted = counted;
    if (counted) list[q] = {q, true, packets[q], bytes[q], lost == nullptr ? 0 : lost[q], std::nullopt};
  }
  return list;
}

}  // namespace

net::Result<std::unique_ptr<Device>> Device::open(const DeviceOptions& options, Eal& eal) {
  (void)eal.take_complaints();
  uint16_t id = 0;
  std::string created;
  const bool nic = options.nic_mtu != 0;
  const bool found = rte_eth_dev_get_port_by_name(options.name.c_str(), &id) == 0;
  if (!found && nic) return host::pci_device_not_taken(options.name, eal.complaints_at_start());
  if (!found) {
    const int failed = rte_vdev_init(options.name.c_str(), options.arguments.c_str());
    // The bus answers 1 or -1, without a word, when no driver knows the name.
    if (failed > 0 || failed == -ENOENT || (failed == -1 && !eal.has_complaints())) return unknown_driver(options);
    if (failed < 0) return refused(options, "cannot be opened", -failed, eal);
    created = options.name;
    if (rte_eth_dev_get_port_by_name(options.name.c_str(), &id) != 0) {
      rte_vdev_uninit(created.c_str());
      return unknown_driver(options);
    }
  }
  std::unique_ptr<Device> device(new Device(id, std::move(created), nic));
  if (net::Status configured = device->configure(options); !configured) {
    net::Error error = configured.error();
    if (const std::string words = eal.take_complaints(); !words.empty()) error.message += ": " + words;
    return error;
  }
  return device;
}

net::Status Device::configure(const DeviceOptions& o) {
  const auto failed = [&](const char* step, int error) {
    return net::Error{net::Code::kUnavailable, fmt::format("DPDK device {}: {}: {}", o.name, step, strerror(-error))};
  };
  rte_eth_dev_info info = {};
  if (const int error = rte_eth_dev_info_get(id_, &info); error != 0) return failed("does not describe itself", error);
  if (o.nic_mtu != 0 && (o.nic_mtu < info.min_mtu || o.nic_mtu > info.max_mtu))
    return net::Error{net::Code::kInvalid, host::mtu_not_possible(o.nic_mtu, {info.min_mtu, info.max_mtu})};
  // mlx5 is isolated before it has queues, so that nothing of the kernel's comes to them even at first. TAP takes what
  // it has from its beginning, and ends that once it has queues.
  const bool is_tap = info.driver_name != nullptr && strcmp(info.driver_name, "net_tap") == 0;
  const auto isolate = [&](bool now) { return o.isolated && now ? rte_flow_isolate(id_, 1, nullptr) : 0; };
  if (const int error = isolate(!is_tap); error != 0) return failed("cannot be shared with the kernel", error);
  rx_queues_ = std::max<uint16_t>(1, std::min(info.max_rx_queues, o.workers));
  tx_queues_ = std::max<uint16_t>(1, std::min(info.max_tx_queues, o.workers));
  // TAP's RSS is of flow rules only: without one the kernel chooses the queue, and moves flows.
  const uint64_t flow_types = rx_queues_ > 1 && !is_tap && !o.isolated ? info.flow_type_rss_offloads & kFlowTypes : 0;
  const uint8_t key_size = rss_key_size();
  if (const int error = configure_queues(o, flow_types, key_size); error != 0)
    return failed("refuses its configuration", error);
  if (const int error = set_up_queues(o); error != 0) return failed("refuses a queue", error);
  if (const int error = rte_eth_dev_start(id_); error != 0) return failed("does not start", error);
  if (const int error = isolate(is_tap); error != 0) return failed("cannot be shared with the kernel", error);
  if (why_no_rss_.empty()) confirm_rss(o, flow_types, key_size);
  if (why_no_rss_.empty()) confirm_table(info.reta_size);
  // Neighbour discovery, OSPF, VRRP: for the kernel, by group addresses that only it knows.
  if (nic_ && !o.isolated) (void)rte_eth_allmulticast_enable(id_);
  // A virtio device that can filter VLANs lets none in that it was not told of (virtio 1.2, 5.1.6.5.3), unless it is to
  // let everything in.
  const bool is_virtio = info.driver_name != nullptr && strcmp(info.driver_name, "net_virtio") == 0;
  if (nic_ && is_virtio && (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER) != 0)
    (void)rte_eth_promiscuous_enable(id_);
  return {};
}

// With RSS when the device has it and takes it.
int Device::configure_queues(const DeviceOptions& o, uint64_t flow_types, uint8_t key_size) {
  rte_eth_conf conf = {};
  conf.rxmode.mtu = o.nic_mtu;  // 0: 1500
  if (rx_queues_ > 1) why_no_rss_ = flow_types == 0 ? "it has no RSS for IP packets" : "";
  if (flow_types != 0 && key_size > o.rss_key.size()) why_no_rss_ = "its RSS key is longer than any known";
  if (!why_no_rss_.empty()) return rte_eth_dev_configure(id_, rx_queues_, tx_queues_, &conf);

  conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
  conf.rx_adv_conf.rss_conf = {const_cast<uint8_t*>(o.rss_key.data()), key_size, flow_types};
  const int refused = rte_eth_dev_configure(id_, rx_queues_, tx_queues_, &conf);
  if (refused == 0) return 0;
  why_no_rss_ = fmt::format("it refuses RSS: {}", strerror(-refused));
  conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
  conf.rx_adv_conf = {};
  return rte_eth_dev_configure(id_, rx_queues_, tx_queues_, &conf);
}

int Device::set_up_queues(const DeviceOptions& o) {
  uint16_t rx = kDescriptors, tx = kDescriptors;
  rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx, &tx);
  const auto socket = static_cast<unsigned>(rte_socket_id());
  for (uint16_t q = 0; q < rx_queues_; q++)
    if (const int error = rte_eth_rx_queue_setup(id_, q, rx, socket, nullptr, o.pool); error != 0) return error;
  for (uint16_t q = 0; q < tx_queues_; q++)
    if (const int error = rte_eth_tx_queue_setup(id_, q, tx, socket, nullptr); error != 0) return error;
  return 0;
}

// The device is asked what it uses: some drivers take key and flow types only by a call of their own. One that does not
// tell is believed.
void Device::confirm_rss(const DeviceOptions& o, uint64_t flow_types, uint8_t key_size) {
  std::array<uint8_t, kRssKey> key = {};
  rte_eth_rss_conf in_use = {key.data(), key_size, 0};
  const int told = rte_eth_dev_rss_hash_conf_get(id_, &in_use);
  if (told == -ENOTSUP) return;
  if (told == 0 && in_use.rss_hf == flow_types && memcmp(key.data(), o.rss_key.data(), key_size) == 0) return;
  rte_eth_rss_conf wanted = {const_cast<uint8_t*>(o.rss_key.data()), key_size, flow_types};
  if (const int error = rte_eth_dev_rss_hash_update(id_, &wanted); error != 0)
    why_no_rss_ = fmt::format("it refuses an RSS key: {}", strerror(-error));
}

// From hash to queue: as the driver fills it, when that is evenly over the queues in use, else filled anew. A device
// that has no table, or does not tell, is believed.
void Device::confirm_table(uint16_t size) {
  constexpr size_t kGroup = RTE_ETH_RETA_GROUP_SIZE;
  std::array<rte_eth_rss_reta_entry64, RTE_ETH_RSS_RETA_SIZE_512 / kGroup> table = {};
  if (size == 0 || size > RTE_ETH_RSS_RETA_SIZE_512) return;
  for (size_t i = 0; i < size; i++) table[i / kGroup].mask |= 1ull << i % kGroup;
  if (rte_eth_dev_rss_reta_query(id_, table.data(), size) != 0) return;

  std::vector<uint32_t> share(UINT16_MAX + 1);
  for (size_t i = 0; i < size; i++) share[table[i / kGroup].reta[i % kGroup]]++;
  const auto [least, most] = std::minmax_element(share.begin(), share.begin() + rx_queues_);
  const bool all = std::all_of(share.begin() + rx_queues_, share.end(), [](uint32_t n) { return n == 0; });
  if (all && *most - *least <= 1) return;
  for (size_t i = 0; i < size; i++) table[i / kGroup].reta[i % kGroup] = static_cast<uint16_t>(i % rx_queues_);
  if (const int error = rte_eth_dev_rss_reta_update(id_, table.data(), size); error != 0)
    why_no_rss_ = fmt::format("it refuses an even RSS table: {}", strerror(-error));
}

// AF_PACKET's fanout is by flow hash; it rolls over to another queue only when one is full.
bool Device::keeps_flows() const {
  return rx_queues_ == 1 || why_no_rss_.empty() || driver() == "net_af_packet";
}

Device::~Device() {
  rte_eth_dev_stop(id_);
  if (nic_) rte_eth_dev_close(id_);
  if (created_.empty()) return;
  // The AF_XDP driver tries to detach the interface's XDP program, which is not its own, and complains that it can't.
  const bool af_xdp = driver() == "net_af_xdp";
  if (af_xdp) rte_log_set_level_pattern("pmd.net.af_xdp", RTE_LOG_CRIT);
  rte_eth_dev_close(id_);
  if (af_xdp) rte_log_set_level_pattern("pmd.net.af_xdp", RTE_LOG_WARNING);
  rte_vdev_uninit(created_.c_str());
}

net::Mac Device::mac() const {
  rte_ether_addr address = {};
  rte_eth_macaddr_get(id_, &address);
  net::Mac mac;
  memcpy(mac.bytes.data(), address.addr_bytes, mac.bytes.size());
  return mac;
}

bool Device::link_up() const {
  rte_eth_link link = {};
  return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

std::string Device::driver() const {
  rte_eth_dev_info info = {};
  return rte_eth_dev_info_get(id_, &info) == 0 && info.driver_name != nullptr ? info.driver_name : "";
}

uint8_t Device::rss_key_size() const {
  rte_eth_dev_info info = {};
  return rte_eth_dev_info_get(id_, &info) == 0 && info.hash_key_size != 0 ? info.hash_key_size : kUsualRssKey;
}

DeviceCounters Device::counters() const {
  rte_eth_stats s = {};
  if (rte_eth_stats_get(id_, &s) != 0) return {};
  // These two count what they did not accept, which is dropped(tx_full) already; others what they lost afterwards.
  const std::string name = driver();
  const bool counts_refused = name == "net_af_xdp" || name == "net_ring";
  return {.rx_packets = s.ipackets,
          .rx_bytes = s.ibytes,
          .tx_packets = s.opackets,
          .tx_bytes = s.obytes,
          .rx_lost = s.imissed + s.ierrors + s.rx_nombuf,
          .tx_lost = counts_refused ? 0 : s.oerrors,
          .rx_queues = by_queue(rx_queues_, s.q_ipackets, s.q_ibytes, s.q_errors, s.ipackets),
          .tx_queues = by_queue(tx_queues_, s.q_opackets, s.q_obytes, nullptr, s.opackets)};
}

uint32_t free_devices() {
  return RTE_MAX_ETHPORTS - rte_eth_dev_count_total();
}

}  // namespace lb::dpdk
