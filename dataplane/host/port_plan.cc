#include "dataplane/host/port_plan.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "dataplane/host/pci_port.h"
#include "dataplane/host/sizes.h"

namespace lb::host {
namespace {

// Per AF_XDP queue: 2,048 in the fill and receive rings, 2,048 in the completion ring, 1,024 waiting to be sent.
constexpr uint32_t kAfXdpBuffers = 5120;
// Per worker on any other device: 1,024 descriptors each way.
constexpr uint32_t kSendBuffers = 1024;
constexpr uint32_t kDeviceBuffers = 2 * kSendBuffers;
// Per worker: its burst and its cache, which takes in up to one and a half times 256.
constexpr uint32_t kWorkerBuffers = 512;
// Per worker without queues of its own (how many a device has is not known before DPDK runs): what waits in the ring
// that it gets packets from, and in the one that others send by. All rings of a device with several queues do not fill
// at once while their workers run; if they did, what is then missing shows as rx_lost.
constexpr uint32_t kRingBuffers = 2 * kRing;
constexpr uint32_t kLeastLargeBuffers = 4096;
constexpr uint32_t kFixedMb = 32;  // rings, device records

// DPDK's virtual devices: driver name and a number, arguments behind a comma.
bool is_device_string(const std::string& device) {
  return device.starts_with("net_") || device.starts_with("eth_") || device.starts_with("virtio_user") ||
         device.find(',') != std::string::npos;
}

uint16_t room_needed(const PortPlan& plan) {
  if (plan.interface) return af_packet_frame_size(plan);
  return plan.pci ? static_cast<uint16_t>((plan.largest_frame() + 1023) / 1024 * 1024) : plan.largest_frame();
}

uint32_t buffers_of(const PortPlan& plan, uint32_t workers) {
  uint32_t count =
      plan.interface ? std::max(plan.interface->queues, workers) * kAfXdpBuffers : workers * kDeviceBuffers;
  if (!plan.interface || plan.interface->queues < workers) count += (workers - 1) * kRingBuffers;
  if (plan.twin) count += twin_buffers();
  return count;
}

// The kernel's interface of that name, and the port's MTU, which is no larger than its own.
std::optional<KernelInterface> take_interface(PortPlan& plan, const std::string& name,
                                              std::vector<PortProblem>& problems) {
  auto found = query_interface(name);
  if (!found && found.error().code == net::Code::kNotFound) {
    problems.push_back(
        {"device",
         {net::Code::kNotFound,
          fmt::format("no such device: '{}' is no network interface here (there are {}) and no DPDK device string "
                      "(net_...)",
                      name, fmt::join(interface_names(), ", "))}});
    return std::nullopt;
  }
  if (!found) {
    problems.push_back({"device", found.error()});
    return std::nullopt;
  }
  if (!found->up)
    problems.push_back(
        {"device",
         {net::Code::kUnavailable, fmt::format("{} is down; bring it up: ip link set dev {} up", name, name)}});
  plan.mtu = plan.port.mtu.value_or(std::min(found->mtu, model::kMaxMtu));
  if (plan.mtu > found->mtu)
    problems.push_back(
        {"mtu",
         {net::Code::kInvalid, fmt::format("mtu {} is larger than {}'s {}; raise it: ip link set dev {} mtu {}",
                                           plan.mtu, name, found->mtu, name, plan.mtu)}});
  return *found;
}

void plan_nic(PortPlan& plan, const std::string& address, const net::PciBus& bus, std::vector<PortProblem>& problems) {
  plan.pci.emplace().address = address;
  plan.twin = true;
  auto device = bus.find(address);
  if (!device) return problems.push_back({"device", device.error()});
  plan.pci = std::move(*device);
  plan.twin = !plan.pci->is_bifurcated();
  std::vector<net::Error> found = pci_problems(bus, *plan.pci);
  if (found.empty() && !plan.twin) plan.shared = take_interface(plan, plan.pci->interfaces.front(), problems);
  for (net::Error& problem : found) problems.push_back({"device", std::move(problem)});
}

// Empty: it has none. `remote=eth1` among arguments with commas between.
std::string remote_of(const PortPlan& plan) {
  constexpr std::string_view kRemote = ",remote=";
  if (!plan.device_name.starts_with("net_tap")) return {};
  const std::string arguments = "," + plan.device_arguments;
  const size_t at = arguments.find(kRemote);
  if (at == std::string::npos) return {};
  const size_t begin = at + kRemote.size();
  return arguments.substr(begin, std::min(arguments.find(',', begin), arguments.size()) - begin);
}

void plan_device_string(PortPlan& plan, TwinsFor twins, std::vector<PortProblem>& problems) {
  const std::string& device = plan.port.device;
  const size_t comma = device.find(',');
  plan.device_name = device.substr(0, comma);
  if (comma != std::string::npos) plan.device_arguments = device.substr(comma + 1);
  const std::string remote = remote_of(plan);
  plan.twin = remote.empty() && twins == TwinsFor::kDeviceStrings;
  if (!remote.empty()) plan.shared = take_interface(plan, remote, problems);
}

}  // namespace

PortPlan plan_port(const model::Port& port, TwinsFor twins, const net::PciBus& bus,
                   std::vector<PortProblem>& problems) {
  PortPlan plan;
  plan.port = port;
  plan.mtu = port.mtu.value_or(1500);
  if (const auto address = net::parse_pci_address(port.device)) {
    plan_nic(plan, *address, bus, problems);
  } else if (!interface_exists(port.device) && is_device_string(port.device)) {
    plan_device_string(plan, twins, problems);
  } else {
    plan.interface = take_interface(plan, port.device, problems);
  }
  return plan;
}

net::Result<std::vector<PortPlan>> plan_ports(std::span<const model::Port> ports, TwinsFor twins,
                                              const net::PciBus& bus) {
  std::vector<PortPlan> plans;
  for (const model::Port& port : ports) {
    std::vector<PortProblem> problems;
    PortPlan plan = plan_port(port, twins, bus, problems);
    if (!problems.empty()) {
      const net::Error& first = problems.front().error;
      return net::Error{first.code, fmt::format("port {}: {}", port.name, first.message)};
    }
    plan.id = net::PortId(static_cast<uint16_t>(plans.size()));
    plans.push_back(std::move(plan));
  }
  return plans;
}

std::string too_few_queues(const PortPlan& plan, size_t rx_queues, uint32_t workers) {
  const std::string less = fmt::format("{} receive queue(s) for {} workers", rx_queues, workers);
  const std::string all = fmt::format(
      ", which is all that the NIC has; a virtual one may get {0} from its host (QEMU: queues={0} and mq=on; libvirt: "
      "<driver queues='{0}'/>), else give lbd fewer workers",
      workers);
  if (plan.pci) return less + all;
  if (!plan.interface) return less;
  if (!plan.interface->most_queues)
    return less + "; more, if the interface can: " + channels_command(*plan.interface, workers);
  const uint32_t most = std::min(*plan.interface->most_queues, workers);
  return most > rx_queues ? less + "; more: " + channels_command(*plan.interface, most) : less + all;
}

std::string mtu_not_possible(uint32_t mtu, const MtuRange& range) {
  return fmt::format("mtu {} is not possible: the device takes {} to {}; set the port's mtu in that range", mtu,
                     range.least, range.most);
}

std::vector<std::string> pci_addresses(std::span<const PortPlan> plans) {
  std::vector<std::string> addresses;
  for (const PortPlan& plan : plans)
    if (plan.pci) addresses.push_back(plan.pci->address);
  return addresses;
}

uint16_t af_packet_largest_frame(uint16_t frame_size) {
  return static_cast<uint16_t>(frame_size - 80);  // header 52, address 20, aligned to 16
}

uint16_t af_packet_frame_size(const PortPlan& plan) {
  for (const uint16_t size : {uint16_t{2048}, uint16_t{4096}})
    if (plan.largest_frame() <= af_packet_largest_frame(size)) return size;
  return 16384;
}

uint32_t buffers_needed(std::span<const PortPlan> plans, uint32_t workers) {
  uint32_t count = workers * kWorkerBuffers;
  for (const PortPlan& plan : plans) count += buffers_of(plan, workers);
  return count;
}

bool needs_large_buffers(const PortPlan& plan) {
  return room_needed(plan) > kBufferRoom;
}

uint16_t large_room_needed(std::span<const PortPlan> plans) {
  uint16_t room = 0;
  for (const PortPlan& plan : plans)
    if (needs_large_buffers(plan)) room = std::max(room, room_needed(plan));
  return room;
}

// AF_PACKET copies each packet, and holds none. Other ports send by their descriptors what came in by a large one.
uint32_t large_buffers_needed(std::span<const PortPlan> plans, uint32_t workers) {
  if (large_room_needed(plans) == 0) return 0;
  uint32_t count = workers * kWorkerBuffers;
  for (const PortPlan& plan : plans)
    if (!plan.interface) count += needs_large_buffers(plan) ? buffers_of(plan, workers) : workers * kSendBuffers;
  return std::max(count, kLeastLargeBuffers);
}

uint32_t memory_needed_mb(std::span<const PortPlan> plans, uint32_t workers) {
  const uint64_t large_bytes = static_cast<uint64_t>(large_room_needed(plans)) + 512;
  const uint64_t bytes = static_cast<uint64_t>(buffers_needed(plans, workers)) * kBufferBytes +
                         large_buffers_needed(plans, workers) * large_bytes;
  return kFixedMb + static_cast<uint32_t>(bytes * 9 / 8 / (1024 * 1024));
}

}  // namespace lb::host
