#include "dataplane/host/host_check.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "dataplane/host/cores.h"
#include "dataplane/host/huge_pages.h"
#include "dataplane/host/port_plan.h"
#include "dataplane/host/sizes.h"
#include "dataplane/host/xdp_check.h"

namespace lb::host {
namespace {

namespace fs = std::filesystem;

class HostCheck {
 public:
  HostCheck(const model::Daemon& daemon, const Machine& machine)
      : daemon_(daemon), machine_(machine), bus_(machine.sysfs, machine.modules) {}

  std::vector<Finding> run() {
    check_workers();
    for (size_t i = 0; i < daemon_.ports.size(); i++) check_port(i);
    check_huge_pages();
    return std::move(found_);
  }

 private:
  void problem(std::string path, std::string message) {
    found_.push_back({Finding::Kind::kProblem, "daemon.dpdk." + std::move(path), std::move(message)});
  }
  void note(std::string path, std::string message) {
    found_.push_back({Finding::Kind::kNote, "daemon.dpdk." + std::move(path), std::move(message)});
  }

  // That lbctl may run on fewer cores than the machine has says nothing sure about lbd.
  void check_workers() {
    const std::vector<uint32_t> allowed = allowed_cores(), online = online_cores(machine_.sysfs);
    const std::vector<uint32_t>& there = online.empty() ? allowed : online;
    for (size_t i = 0; i < daemon_.workers.size(); i++) {
      const uint32_t core = daemon_.workers[i];
      const std::string path = fmt::format("workers[{}]", i);
      if (!std::binary_search(there.begin(), there.end(), core))
        problem(path, no_such_core(core, there));
      else if (!std::binary_search(allowed.begin(), allowed.end(), core))
        note(path, core_not_allowed(core, allowed) + "; lbd is refused it too unless it is started elsewhere");
    }
  }

  void check_port(size_t i) {
    const std::string key = fmt::format("ports[{}].", i);
    std::vector<PortProblem> problems;
    PortPlan plan = plan_port(daemon_.ports[i], TwinsFor::kNics, bus_, problems);
    const std::string interface = interface_of(plan);
    if (const auto range = mtu_range(interface); range && plan.mtu > range->most) {
      // Raising it, which is what a start advises, is of no use.
      std::erase_if(problems, [](const PortProblem& p) { return p.key == "mtu"; });
      problems.push_back({"mtu", {net::Code::kInvalid, mtu_not_possible(plan.mtu, *range)}});
    }
    for (PortProblem& p : problems) problem(key + p.key, std::move(p.error.message));
    check_queues(key, plan, interface);
    if (plan.twin) check_twin(key, plan);
    if (plan.interface) check_xdp(key, plan);
    plans_.push_back(std::move(plan));
  }

  // The kernel's, of a NIC that it still has. Empty: none.
  static std::string interface_of(const PortPlan& plan) {
    if (plan.interface) return plan.interface->name;
    if (plan.shared) return plan.shared->name;
    return plan.pci && !plan.pci->interfaces.empty() ? plan.pci->interfaces.front() : std::string();
  }

  std::optional<MtuRange> mtu_range(const std::string& interface) const {
    if (interface.empty() || !machine_.mtu_range) return std::nullopt;
    return machine_.mtu_range(interface);
  }

  void check_queues(const std::string& key, const PortPlan& plan, const std::string& interface) {
    const auto workers = static_cast<uint32_t>(daemon_.workers.size());
    std::optional<uint32_t> queues;
    if (plan.interface)
      queues = plan.interface->queues;
    else if (!interface.empty())
      queues = machine_.most_queues(interface);
    if (!queues || *queues >= workers) return;
    note(key + "device", "flows are dispatched in software: " + too_few_queues(plan, *queues, workers));
  }

  void check_twin(const std::string& key, const PortPlan& plan) {
    const std::string tun = machine_.dev + "/net/tun";
    std::error_code none;
    if (!fs::exists(tun, none)) problem(key + "device", no_tun(tun, "No such file or directory"));
    const fs::path twin = fs::path(machine_.sysfs) / "class/net" / plan.port.twin_name();
    if (fs::exists(twin, none) && !fs::exists(twin / "tun_flags", none))
      problem(key + "name", no_tap_of_ours(plan.port.twin_name()));
  }

  // Where frames are too large for AF_XDP, lbd takes AF_PACKET, which needs no XDP program.
  void check_xdp(const std::string& key, const PortPlan& plan) {
    if (!machine_.xdp_use || plan.largest_frame() > kAfXdpFrame) return;
    const model::XdpUse use = machine_.xdp_use(plan.interface->name);
    switch (use.by) {
      case model::XdpUse::By::kNobody:
        break;
      case model::XdpUse::By::kLbd:
        note(key + "device",
             fmt::format("{} is a port of an lbd that runs: one lbd can have it", plan.interface->name));
        break;
      case model::XdpUse::By::kOther:
        problem(key + "device", use.sentence);
        break;
      case model::XdpUse::By::kUntold:
        note(key + "device", use.sentence + ": unless it is lbd's own, lbd is refused the interface");
        break;
    }
  }

  void check_huge_pages() {
    if (daemon_.huge_pages == model::HugePages::kOff) return;
    const auto needed = memory_needed_mb(plans_, static_cast<uint32_t>(daemon_.workers.size()));
    const uint64_t there = free_huge_mb(machine_.sysfs) + huge_mb_of_lbd(machine_.proc);
    if (there >= needed) return;
    const bool nics =
        std::any_of(plans_.begin(), plans_.end(), [](const PortPlan& plan) { return plan.pci.has_value(); });
    if (daemon_.huge_pages == model::HugePages::kOn)
      problem("huge-pages", too_few_huge_pages(needed, there));
    else if (nics)
      note("huge-pages", nics_without_huge_pages(needed));
  }

  const model::Daemon& daemon_;
  const Machine& machine_;
  net::PciBus bus_;
  std::vector<PortPlan> plans_;
  std::vector<Finding> found_;
};

}  // namespace

std::vector<Finding> check_host(const model::Daemon& daemon, const Machine& machine) {
  return daemon.engine == "xdp" ? check_xdp_host(daemon, machine) : HostCheck(daemon, machine).run();
}

}  // namespace lb::host
