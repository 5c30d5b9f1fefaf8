#include "dataplane/dpdk/port.h"

#include <algorithm>
#include <random>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lb::dpdk {
namespace {

bool is_af_xdp_possible(const PortPlan& plan, std::string& why) {
  const KernelInterface& i = *plan.interface;
  if (plan.largest_frame() > kAfXdpFrame) {
    why = fmt::format("its MTU {} is larger than the {} that AF_XDP takes here: ip link set dev {} mtu {}", plan.mtu,
                      kAfXdpFrame - 22, i.name, kAfXdpFrame - 22);
    return false;
  }
  if (i.queues > free_devices()) {
    why = fmt::format("it has {} receive queues, and {} more are possible: {}", i.queues, free_devices(),
                      channels_command(i, free_devices()));
    return false;
  }
  return true;
}

// What must not be answered by the second best: somebody else has the device, or we have no right to it.
bool is_final(const net::Error& error) {
  return error.code == net::Code::kUnavailable || error.code == net::Code::kPermission ||
         error.code == net::Code::kNotFound;
}

// Several devices are one port: their queues are numbered on.
void add_queues(std::vector<model::QueueCounters>& to, const std::vector<model::QueueCounters>& of_device) {
  for (model::QueueCounters q : of_device) {
    q.queue = static_cast<uint16_t>(to.size());
    to.push_back(q);
  }
}

void count_twin(model::PortCounters& c, const Twin& twin) {
  const TwinCounters t = twin.counters();
  c.ifname = c.twin = twin.name();
  c.link_up = twin.link_up();
  c.to_kernel = t.to_kernel;
  c.to_kernel_lost = t.to_kernel_lost;
  c.from_kernel = t.from_kernel;
  c.from_kernel_lost = t.from_kernel_lost;
}

}  // namespace

DispatchKeys DispatchKeys::make() {
  std::random_device random;
  DispatchKeys keys;
  for (uint8_t& byte : keys.rss) byte = static_cast<uint8_t>(random());
  for (uint64_t& word : keys.spread) word = static_cast<uint64_t>(random()) << 32 | random();
  return keys;
}

Port::~Port() = default;

net::Result<std::unique_ptr<Port>> Port::open(const PortPlan& plan, const PortContext& context) {
  std::unique_ptr<Port> port(new Port(plan, context.workers));
  net::Status opened = plan.interface ? port->open_interface(context)
                       : plan.pci     ? port->open_nic(context)
                                      : port->open_device_string(context);
  if (opened && plan.shared) opened = port->open_rules(context);
  if (opened && plan.twin) opened = port->open_twin(context);
  if (opened) opened = port->share_queues(context);
  if (!opened)
    return net::Error{opened.error().code, fmt::format("port {}: {}", plan.port.name, opened.error().message)};
  return port;
}

net::Status Port::open_interface(const PortContext& context) {
  mac_ = plan_.interface->mac;
  offloads_ = std::make_unique<OffloadsOff>(plan_.interface->name);
  std::string why;
  if (is_af_xdp_possible(plan_, why)) {
    const net::Status opened = open_af_xdp(context);
    if (opened || is_final(opened.error())) return opened;
    why = opened.error().message;
  }
  context.log(
      fmt::format("port {}: AF_PACKET instead of AF_XDP on {}: {}", plan_.port.name, plan_.interface->name, why));
  return open_af_packet(context);
}

// The filter first: libxdp adopts the program that it finds, and would attach its own, which takes everything.
net::Status Port::open_af_xdp(const PortContext& context) {
  const KernelInterface& i = *plan_.interface;
  auto filter = context.filters.attach_xdp(i.name);
  if (!filter) return filter.error();
  for (uint32_t q = 0; q < i.queues; q++) {
    // Without busy polling: it would make every empty poll a system call.
    auto device =
        Device::open({.name = fmt::format("net_af_xdp_{}_{}", net::raw(plan_.id), q),
                      .arguments = fmt::format("iface={},start_queue={},queue_count=1,busy_budget=0", i.name, q),
                      .workers = 1,
                      .pool = context.buffers.pool()},
                     context.eal);
    if (!device) {
      devices_.clear();
      return net::Error{net::Code::kUnsupported, device.error().message};
    }
    devices_.push_back(std::move(*device));
  }
  filter_ = std::move(*filter);
  driver_ = filter_->description();
  largest_frame_ = kBufferRoom;
  return {};
}

net::Status Port::open_af_packet(const PortContext& context) {
  const KernelInterface& i = *plan_.interface;
  auto filter = context.filters.attach_tc(i.name);
  if (!filter) return filter.error();
  const uint16_t frame = af_packet_frame_size(plan_);
  const Buffers& buffers = frame > kBufferRoom ? *context.large_buffers : context.buffers;
  // A block holds whole frames and is at least two pages.
  auto device = Device::open({.name = fmt::format("net_af_packet_{}", net::raw(plan_.id)),
                              .arguments = fmt::format("iface={},qpairs={},framesz={},blocksz={}", i.name, workers_,
                                                       frame, std::max<uint16_t>(frame, 8192)),
                              .workers = workers_,
                              .pool = buffers.pool(),
                              .rss_key = context.keys.rss},
                             context.eal);
  if (!device) return device.error();
  devices_.push_back(std::move(*device));
  filter_ = std::move(*filter);
  driver_ = filter_->description();
  kernel_copy_ = true;
  largest_frame_ = host::af_packet_largest_frame(frame);
  return {};
}

net::Status Port::open_nic(const PortContext& context) {
  auto device = Device::open({.name = plan_.pci->address,
                              .arguments = {},
                              .workers = workers_,
                              .pool = (needs_large_buffers(plan_) ? *context.large_buffers : context.buffers).pool(),
                              .nic_mtu = plan_.mtu,
                              .rss_key = context.keys.rss,
                              .isolated = plan_.shared.has_value()},
                             context.eal);
  if (!device) return device.error();
  mac_ = (*device)->mac();
  driver_ = (*device)->driver();
  largest_frame_ = plan_.largest_frame();
  devices_.push_back(std::move(*device));
  return {};
}

net::Status Port::open_device_string(const PortContext& context) {
  auto device = Device::open({.name = plan_.device_name,
                              .arguments = plan_.device_arguments,
                              .workers = workers_,
                              .pool = (needs_large_buffers(plan_) ? *context.large_buffers : context.buffers).pool(),
                              .rss_key = context.keys.rss,
                              .isolated = plan_.shared.has_value()},
                             context.eal);
  if (!device) return device.error();
  mac_ = (*device)->mac();
  driver_ = (*device)->driver();
  largest_frame_ = UINT16_MAX;
  devices_.push_back(std::move(*device));
  return {};
}

// What the BPF filters do for other interfaces of the kernel, the NIC does by itself.
net::Status Port::open_rules(const PortContext& context) {
  Device& device = *devices_.front();
  mac_ = plan_.shared->mac;
  auto rules =
      NicRules::open(rule_device(device.id()),
                     {.mac = mac_,
                      .queues = device.rx_queues(),
                      .rss_key = std::span(context.keys.rss).first(std::min<size_t>(device.rss_key_size(), kRssKey)),
                      .priority_by_kind = device.driver() == "net_tap",
                      .description = fmt::format("{} (bifurcated)", plan_.pci ? "mlx5" : device.driver())});
  if (!rules) return rules.error();
  rules_ = std::move(*rules);
  driver_ = rules_->description();
  device.set_why_no_rss(rules_->why_no_rss());
  if (!rules_->left_to_kernel().empty())
    context.log(
        fmt::format("port {}: the NIC has no rules for some of what is sent to owned addresses, which stays with "
                    "the kernel: {}",
                    plan_.port.name, fmt::join(rules_->left_to_kernel(), ", ")));
  return {};
}

net::Status Port::open_twin(const PortContext& context) {
  auto twin = Twin::open({.name = plan_.port.twin_name(),
                          .mac = mac_,
                          .mtu = plan_.mtu,
                          .largest_frame = largest_frame_,
                          .pool = (needs_large_buffers(plan_) ? *context.large_buffers : context.buffers).pool()},
                         *devices_.front());
  if (!twin) return twin.error();
  twin_ = std::move(*twin);
  const auto mac = twin_->mac();
  if (!mac) return mac.error();
  mac_ = *mac;  // of a device that has none (net_ring), the kernel's choice
  context.log(fmt::format("port {}: {} {} stands for it in the kernel", plan_.port.name,
                          twin_->adopted() ? "the interface" : "the new interface", twin_->name()));
  return {};
}

// Ports have different workers, as far as there are some.
std::optional<Relay> Port::twin_relay_of(uint32_t worker) const {
  const size_t senders = std::min<size_t>(workers_, devices_.front()->tx_queues());
  if (!twin_ || worker != net::raw(plan_.id) % senders) return std::nullopt;
  return Relay{twin_->from_kernel(), dispatch_->tx_of(worker)};
}

// Empty: every worker has a receive queue, and a flow stays with one.
std::string Port::why_software(size_t rx_queues) const {
  if (workers_ == 1) return {};
  if (rx_queues < workers_) return host::too_few_queues(plan_, rx_queues, workers_);
  const Device& device = *devices_.front();
  return device.keeps_flows() ? "" : fmt::format("{} keeps no flow on one queue: {}", driver_, device.why_no_rss());
}

net::Status Port::share_queues(const PortContext& context) {
  std::vector<RxQueue> rx;
  std::vector<TxQueue> tx;
  const Buffers& buffers = needs_large_buffers(plan_) ? *context.large_buffers : context.buffers;
  for (const auto& device : devices_) {
    for (uint16_t q = 0; q < device->rx_queues(); q++)
      rx.push_back({.device = device->id(),
                    .queue = q,
                    .port = net::raw(plan_.id),
                    .mac = mac_.bytes,
                    .kernel_copy = kernel_copy_,
                    .punts = twin_ ? &twin_->punts() : nullptr,
                    .pool = buffers.pool()});
    for (uint16_t q = 0; q < device->tx_queues(); q++) tx.push_back({device->id(), q, largest_frame_, nullptr});
  }
  const std::string why = why_software(rx.size());
  if (!why.empty())
    dispatch_by_ = "software: " + why;
  else if (workers_ > 1)
    dispatch_by_ = plan_.interface ? "kernel" : "rss";
  if (!why.empty()) context.log(fmt::format("port {}: flows are dispatched in software: {}", plan_.port.name, why));
  auto dispatch = DispatchRings::make(rx, tx, workers_, !why.empty(), context.keys.spread);
  if (!dispatch) return dispatch.error();
  dispatch_ = std::move(*dispatch);
  return {};
}

const KernelInterface* Port::kernel_interface() const {
  if (plan_.interface) return &*plan_.interface;
  return plan_.shared ? &*plan_.shared : nullptr;
}

net::Status Port::set_owned(std::span<const net::Address> addresses) {
  model::OwnedFilter* filter = rules_ ? rules_.get() : filter_.get();
  if (filter == nullptr) return {};
  const net::Status set = filter->set_owned(addresses);
  if (!set) return net::Error{set.error().code, fmt::format("port {}: {}", plan_.port.name, set.error().message)};
  return {};
}

model::PortCounters Port::counters() const {
  model::PortCounters c;
  c.port = plan_.id;
  c.name = plan_.port.name;
  c.device = plan_.port.device;
  c.dispatch = dispatch_by_;
  c.driver = driver_;
  if (kernel_interface() != nullptr) c.ifname = kernel_interface()->name;
  if (twin_) count_twin(c, *twin_);
  c.mac = mac_;
  c.mtu = plan_.mtu;
  if (!twin_) c.link_up = kernel_interface() != nullptr ? host::interface_link_up(c.ifname) : devices_[0]->link_up();
  for (const auto& device : devices_) {
    const DeviceCounters d = device->counters();
    c.queues = static_cast<uint16_t>(c.queues + device->rx_queues());
    c.rx_packets += d.rx_packets;
    c.rx_bytes += d.rx_bytes;
    c.tx_packets += d.tx_packets;
    c.tx_bytes += d.tx_bytes;
    c.rx_lost += d.rx_lost;
    c.tx_lost += d.tx_lost;
    add_queues(c.rx_queues, d.rx_queues);
    add_queues(c.tx_queues, d.tx_queues);
  }
  // As DispatchRings gives them out.
  for (model::QueueCounters& q : c.rx_queues) q.worker = net::WorkerId(static_cast<uint16_t>(q.queue % workers_));
  for (model::QueueCounters& q : c.tx_queues)
    if (q.queue < workers_) q.worker = net::WorkerId(q.queue);
  return c;
}

}  // namespace lb::dpdk
