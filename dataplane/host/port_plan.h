// What a configured port needs, found out before DPDK starts, because memory is asked for at the start: what kind of
// device it is, its queues and MTU.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/host/kernel_interface.h"
#include "dataplane/model/config.h"
#include "dataplane/net/ids.h"
#include "dataplane/net/pci_device.h"
#include "dataplane/net/result.h"

namespace lb::host {

// Which ports get a twin in the kernel: NICs, since nothing else can stand for them there. What is on the other side of
// a DPDK device string lbd does not know; tests ask for twins of those too.
enum class TwinsFor : uint8_t { kNics, kDeviceStrings };

struct PortPlan {
  net::PortId id{};
  model::Port port;
  std::optional<KernelInterface> interface;  // else
  std::optional<net::PciDevice> pci;         // else a DPDK device string
  // Bifurcated, of a NIC or device string: the kernel keeps this interface of it, and what lbd has no rule for.
  std::optional<KernelInterface> shared;
  std::string device_name, device_arguments;  // of the device string: net_pcap0 and rx_pcap=a,tx_pcap=b
  uint16_t mtu = 1500;
  bool twin = false;
  // Ethernet header and two VLAN tags around the largest IP packet.
  uint16_t largest_frame() const { return static_cast<uint16_t>(mtu + 22); }
};

// What keeps lbd from a port, or from having it as it is configured.
struct PortProblem {
  std::string key;  // that it is about: device, mtu
  net::Error error;
};
// The plan of one port, as far as it can be made, with all its problems. A device string is bifurcated when it is a TAP
// that takes packets from an interface of the kernel (net_tap0,remote=eth1), whose rules tc carries out.
PortPlan plan_port(const model::Port& port, TwinsFor twins, const net::PciBus& bus, std::vector<PortProblem>& problems);

// The plans of all, or the first problem of the first port that has one, which begins with "port NAME:".
// ERRORS: kNotFound (no such interface), kUnavailable (interface down), kInvalid (mtu); those of usable_pci_device().
net::Result<std::vector<PortPlan>> plan_ports(std::span<const model::Port> ports, TwinsFor twins = TwinsFor::kNics,
                                              const net::PciBus& bus = net::PciBus());

// Why not every worker has a receive queue of its own, and what mends it. rx_queues: that it has, fewer than workers.
std::string too_few_queues(const PortPlan& plan, size_t rx_queues, uint32_t workers);
std::string mtu_not_possible(uint32_t mtu, const MtuRange& range);

// The NICs that DPDK may touch.
std::vector<std::string> pci_addresses(std::span<const PortPlan> plans);

// An AF_PACKET ring's frame, a power of two that holds the headers the kernel puts in front.
uint16_t af_packet_frame_size(const PortPlan& plan);
// Largest frame that fits such a ring frame, kernel's header (TPACKET2_HDRLEN, alignment) taken off.
uint16_t af_packet_largest_frame(uint16_t frame_size);

// Buffers that drivers and workers hold at most, all at once.
uint32_t buffers_needed(std::span<const PortPlan> plans, uint32_t workers);
// Whether the port's frames need the second pool, of larger buffers. NICs are told sizes in steps of 1 KB, and spread a
// frame over several buffers when it does not fit.
bool needs_large_buffers(const PortPlan& plan);
// Room of the second pool; 0 when no port needs it.
uint16_t large_room_needed(std::span<const PortPlan> plans);
// How many it has; 0 when no port needs it.
uint32_t large_buffers_needed(std::span<const PortPlan> plans, uint32_t workers);
uint32_t memory_needed_mb(std::span<const PortPlan> plans, uint32_t workers);

}  // namespace lb::host
