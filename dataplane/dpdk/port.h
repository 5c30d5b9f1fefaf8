// One configured port: a kernel interface (AF_XDP, else AF_PACKET), a NIC by its PCI address (shared with the kernel
// when it is bifurcated) or a DPDK device string. Opening decides which, says why when it is the second best, and gives
// every worker the queues it needs. Control thread.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/dpdk/buffers.h"
#include "dataplane/dpdk/device.h"
#include "dataplane/dpdk/dispatch_rings.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/nic_rules.h"
#include "dataplane/dpdk/queues.h"
#include "dataplane/dpdk/twin.h"
#include "dataplane/host/port_plan.h"
#include "dataplane/model/engine.h"
#include "dataplane/model/owned_filter.h"

namespace lb::dpdk {

using host::KernelInterface;
using host::OffloadsOff;
using host::PortPlan;
using host::TwinsFor;

// Random, made at every start: which worker gets a flow is nobody's to foresee.
struct DispatchKeys {
  static DispatchKeys make();
  std::array<uint8_t, kRssKey> rss;
  SpreadKey spread;
};

struct PortContext {
  uint16_t workers;
  Eal& eal;
  const Buffers& buffers;
  const Buffers* large_buffers;  // null: no port needs them
  model::OwnedFilterFactory& filters;
  const DispatchKeys& keys;
  const Log& log;
};

class Port {
 public:
  // ERRORS: a sentence that begins with "port NAME:".
  static net::Result<std::unique_ptr<Port>> open(const PortPlan& plan, const PortContext& context);
  ~Port();

  // What a worker polls, sends by, and sends for others.
  const DispatchRings& queues() const { return *dispatch_; }
  // The addresses that the kernel no longer sees. Ports that no interface of the kernel stands beside have nothing to
  // tell.
  net::Status set_owned(std::span<const net::Address> addresses);
  Twin* twin() const { return twin_.get(); }                  // null: it has none
  std::optional<Relay> twin_relay_of(uint32_t worker) const;  // what that worker sends for the kernel
  net::Mac mac() const { return mac_; }
  bool kernel_copy() const { return kernel_copy_; }
  model::PortCounters counters() const;

 private:
  Port(const PortPlan& plan, uint16_t workers) : plan_(plan), workers_(workers) {}
  net::Status open_interface(const PortContext& context);
  net::Status open_af_xdp(const PortContext& context);
  net::Status open_af_packet(const PortContext& context);
  net::Status open_nic(const PortContext& context);
  net::Status open_device_string(const PortContext& context);
  net::Status open_rules(const PortContext& context);
  net::Status open_twin(const PortContext& context);
  net::Status share_queues(const PortContext& context);
  std::string why_software(size_t rx_queues) const;

  PortPlan plan_;
  uint16_t workers_;
  net::Mac mac_;
  bool kernel_copy_ = false;
  uint16_t largest_frame_ = 0;
  std::string driver_, dispatch_by_;
  const KernelInterface* kernel_interface() const;  // null: the kernel has none, or a twin

  // Destroyed bottom up: rules and sockets first, then the filter that feeds them, then the interface gets its offloads
  // back.
  std::unique_ptr<OffloadsOff> offloads_;
  std::unique_ptr<model::OwnedFilter> filter_;
  std::vector<std::unique_ptr<Device>> devices_;  // AF_XDP: one per receive queue; else one
  std::unique_ptr<NicRules> rules_;               // of a bifurcated one, instead of a filter
  std::unique_ptr<Twin> twin_;
  std::optional<DispatchRings> dispatch_;
};

}  // namespace lb::dpdk
