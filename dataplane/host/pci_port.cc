#include "dataplane/host/pci_port.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lb::host {
namespace {

constexpr const char* kDrivers =
    "virtio, Intel (e1000, igb, igc, ixgbe, i40e, iavf, ice), VMware (vmxnet3), Amazon (ena) and NVIDIA (mlx5)";

std::string holder(const net::PciDevice& d) {
  if (d.interfaces.empty()) return fmt::format("driver {}", d.driver);
  return fmt::format("driver {}, interface {}", d.driver, fmt::join(d.interfaces, ", "));
}

net::Status check_iommu(const net::PciBus& bus, const net::PciDevice& d) {
  if (d.iommu_group) return {};
  if (bus.has_iommu())
    return net::Error{net::Code::kUnavailable,
                      fmt::format("{} has no IOMMU group, and vfio-pci cannot take it without one; choose a slot or a "
                                  "virtual NIC that is behind the IOMMU",
                                  d.address)};
  return net::Error{net::Code::kUnavailable,
                    fmt::format("{} has no IOMMU group: this machine runs without an IOMMU; turn on VT-d or AMD-Vi in "
                                "its firmware and boot with: intel_iommu=on iommu=pt (AMD: iommu=pt)",
                                d.address)};
}

net::Status check_vfio(const net::PciBus& bus, const net::PciDevice& d) {
  if (!bus.has_driver(net::kVfioDriver) && !bus.has_module(net::kVfioDriver))
    return net::Error{net::Code::kUnavailable,
                      fmt::format("{} needs vfio-pci, and this kernel has no module of that name; install one that "
                                  "has and boot it: apt install linux-image-amd64",
                                  d.address)};
  if (!bus.has_driver(net::kVfioDriver))
    return net::Error{net::Code::kUnavailable,
                      fmt::format("{} needs the driver vfio-pci, which is not loaded; load it: modprobe vfio-pci (and "
                                  "then: lbctl port bind {})",
                                  d.address, d.address)};
  return {};
}

net::Status check_bound(const net::PciDevice& d) {
  if (d.driver.empty())
    return net::Error{
        net::Code::kUnavailable,
        fmt::format("{} is bound to no driver; bind it to vfio-pci: lbctl port bind {}", d.address, d.address)};
  const std::string instead =
      d.interfaces.empty() ? "" : fmt::format(" (or share it with the kernel: device: {})", d.interfaces.front());
  return net::Error{net::Code::kUnavailable,
                    fmt::format("{} is in use by the kernel ({}); move it to vfio-pci: lbctl port bind {}{}", d.address,
                                holder(d), d.address, instead)};
}

// VFIO gives a group to one user, whole or not at all.
net::Status check_sibling(const net::PciBus& bus, const net::PciDevice& d, const std::string& other) {
  const auto sibling = bus.find(other);
  if (!sibling || net::leaves_group_to_vfio(sibling->driver)) return {};
  return net::Error{net::Code::kUnavailable,
                    fmt::format("{} shares IOMMU group {} with {}, which the kernel uses ({}); {}", d.address,
                                *d.iommu_group, other, holder(*sibling),
                                sibling->is_network() ? "move that to vfio-pci too: lbctl port bind " + other
                                                      : "that is no network card: use another slot")};
}

// Rules of the NIC are made through its driver mlx5_core, for the one interface that the driver has of it.
net::Status check_bifurcated(const net::PciDevice& d) {
  if (d.interfaces.empty())
    return net::Error{net::Code::kUnavailable,
                      fmt::format("{} has no interface here: it may be in another network namespace; lbd shares a NIC "
                                  "with the kernel only where its interface is",
                                  d.address)};
  if (d.interfaces.size() > 1)
    return net::Error{
        net::Code::kUnavailable,
        fmt::format(
            "{} has several interfaces ({}), as in switchdev mode, in which lbd cannot share it with the "
            "kernel; leave that mode: devlink dev eswitch set pci/{} mode legacy (or give one of them as device)",
            d.address, fmt::join(d.interfaces, ", "), d.address)};
  if (!d.verbs)
    return net::Error{net::Code::kUnavailable,
                      fmt::format("{} has no Verbs device, by which lbd gives rules to a NIC that it shares with the "
                                  "kernel; load the modules: modprobe -a mlx5_ib ib_uverbs (or give its kernel "
                                  "interface, device: {})",
                                  d.address, d.interfaces.front())};
  return {};
}

// Not by mlx5_core: DPDK has no way to drive it.
net::Error without_bifurcated_driver(const net::PciDevice& d) {
  if (!d.interfaces.empty())
    return {net::Code::kUnsupported,
            fmt::format("{} ({}) is on the driver {}, and of NVIDIA's NICs lbd can share those of mlx5_core only; give "
                        "its kernel interface instead, device: {}",
                        d.address, d.ids(), d.driver, d.interfaces.front())};
  return {
      net::Code::kUnsupported,
      fmt::format("{} ({}) is of NVIDIA's, which lbd drives beside the kernel's driver mlx5_core, and it is bound to "
                  "{}; give it back: lbctl port unbind {} (or modprobe mlx5_core; echo {} "
                  ">/sys/bus/pci/drivers/mlx5_core/bind)",
                  d.address, d.ids(), d.driver.empty() ? "no driver" : d.driver, d.address, d.address)};
}

}  // namespace

std::vector<net::Error> pci_problems(const net::PciBus& bus, const net::PciDevice& d) {
  if (!d.is_network())
    return {{net::Code::kInvalid, fmt::format("{} is no network device (class {:06x}, {}); see: lspci -s {}", d.address,
                                              d.class_code, d.ids(), d.address)}};
  if (d.is_bifurcated()) {
    if (net::Status ok = check_bifurcated(d); !ok) return {std::move(ok).error()};
    return {};
  }
  if (d.is_nvidia()) return {without_bifurcated_driver(d)};
  std::vector<net::Error> problems;
  const auto check = [&](net::Status ok) {
    if (!ok) problems.push_back(std::move(ok).error());
  };
  check(check_iommu(bus, d));
  if (d.driver != net::kVfioDriver) {
    check(check_vfio(bus, d));
    check(check_bound(d));
  }
  for (const std::string& other : d.group_others) check(check_sibling(bus, d, other));
  return problems;
}

net::Result<net::PciDevice> usable_pci_device(const net::PciBus& bus, const std::string& address) {
  auto device = bus.find(address);
  if (!device) return device;
  const auto problems = pci_problems(bus, *device);
  if (!problems.empty()) return problems.front();
  return device;
}

net::Error pci_device_not_taken(const std::string& address, const std::string& complaints) {
  if (complaints.empty())
    return {net::Code::kUnsupported,
            fmt::format("no driver of lbd takes {}; there are those of {}; give its kernel interface instead", address,
                        kDrivers)};
  if (complaints.find("resource busy") != std::string::npos)
    return {
        net::Code::kUnavailable,
        fmt::format("another process has {}, or a device of its IOMMU group; see who: fuser -v /dev/vfio/*", address)};
  return {net::Code::kUnavailable, fmt::format("DPDK cannot take {}: {}", address, complaints)};
}

}  // namespace lb::host
