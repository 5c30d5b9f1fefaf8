#include "ctl/nic_checks.h"

#include <fmt/format.h>

#include "dataplane/model/validate.h"

namespace lb::ctl {
namespace {

net::Error refuse(std::string sentence) {
  return {net::Code::kConflict, std::move(sentence)};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

net::Status check_root(NicHost& host) {
  if (host.is_root()) return {};
  return net::Error{net::Code::kPermission, "moving a NIC needs root: sudo lbctl port ..."};
}

net::Status check_name(NicHost& host, const std::string& port) {
  if (!model::is_valid_name(port))
    return net::Error{net::Code::kInvalid,
                      fmt::format("port name \"{}\": names are lower case letters, digits and . _ - after a letter or "
                                  "digit; give one with --name",
                                  port)};
  const std::string twin = std::string(model::kTwinPrefix) + port;
  if (twin.size() > model::kMaxInterfaceName) {
    return net::Error{
        net::Code::kInvalid,
        fmt::format("the port's twin would be {}, {} bytes; an interface's name has at most {}: give a "
                    "name of at most {} with --name",
                    twin, twin.size(), model::kMaxInterfaceName, model::kMaxInterfaceName - model::kTwinPrefix.size())};
  }
  const auto there = host.interface(twin);
  if (there)
    return refuse(fmt::format(
        "there is an interface {} already: give another name with --name, or, if nothing uses it, ip link delete {}",
        twin, twin));
  return is_absent(there) ? net::Status() : there.error();
}

// intel_iommu=on and the like are told when they are missing; where they are there, the firmware has it off.
std::string iommu_advice(const std::string& command_line) {
  for (const char* option : {"intel_iommu=on", "amd_iommu=on"}) {
    if (command_line.find(option) != std::string::npos)
      return fmt::format("the kernel was started with {}: switch the IOMMU (VT-d, AMD-Vi) on in the firmware", option);
  }
  return "switch it on in the firmware (VT-d, AMD-Vi), add intel_iommu=on iommu=pt to GRUB_CMDLINE_LINUX in "
         "/etc/default/grub, then update-grub and reboot";
}

// VFIO gives a group to one user, whole or not at all: those that the kernel still has.
std::vector<net::PciDevice> kernels_in_group(NicHost& host, const net::PciDevice& device) {
  std::vector<net::PciDevice> found;
  for (const std::string& address : device.group_others) {
    auto other = host.device(address);
    if (other && !net::leaves_group_to_vfio(other->driver)) found.push_back(std::move(*other));
  }
  return found;
}

net::Status check_iommu(NicHost& host, const net::PciDevice& device) {
  if (!device.iommu_group)
    return refuse(fmt::format("{} is in no IOMMU group, so vfio-pci cannot take it: the IOMMU is off; {}",
                              device.address, iommu_advice(host.kernel_command_line())));
  for (const net::PciDevice& other : kernels_in_group(host, device)) {
    if (other.is_network()) continue;  // lbctl moves that one as well: a note
    return refuse(
        fmt::format("{} shares IOMMU group {} with {}, which the driver {} uses and which is no network card: vfio-pci "
                    "takes all of a group or none; put the card into another slot",
                    device.address, *device.iommu_group, other.address, other.driver));
  }
  return {};
}

net::Status check_vfio(NicHost& host) {
  switch (host.vfio()) {
    case NicHost::Vfio::kLoaded:
      return {};
    case NicHost::Vfio::kLoadable:
      return refuse("the module vfio-pci is not loaded: modprobe vfio-pci");
    case NicHost::Vfio::kAbsent:
      break;
  }
  return refuse(
      "this kernel has no vfio-pci and no module of that name: install one that has, on Debian linux-image-amd64, and "
      "boot it");
}

net::Status check_device(NicHost& host, const NicFacts& nic) {
  const net::PciDevice& device = nic.device;
  if (device.is_nvidia())
    return net::Error{
        net::Code::kUnsupported,
        fmt::format("{} is of NVIDIA's mlx family, which DPDK drives beside the kernel's driver mlx5_core and never by "
                    "vfio-pci, and it is on {}{}",
                    device.address, device.driver.empty() ? "no driver" : "the driver " + device.driver,
                    nic.interface ? ": give lbd its kernel interface, device: " + nic.interface->name
                                  : ": bind it to mlx5_core")};
  if (device.interfaces.size() > 1)
    return refuse(
        fmt::format("{} has more than one interface ({}): a device that is several ports cannot be moved as one",
                    device.address, joined(device.interfaces)));
  if (!device.driver.empty() && !nic.interface)
    return refuse(fmt::format(
        "{} is on the driver {} and has no interface here: it may be in another network namespace, or in use by "
        "another program",
        device.address, device.driver));
  if (const uint32_t functions = host.virtual_functions(device.address); functions > 0)
    return refuse(fmt::format(
        "{} has {} SR-IOV virtual functions, which would go with it: echo 0 >/sys/bus/pci/devices/{}/sriov_numvfs",
        device.address, functions, device.address));
  return {};
}

// What stands on the interface would go with it and could not be carried over.
net::Status check_above(NicHost& host, const InterfaceState& interface) {
  if (const auto uppers = host.uppers(interface.name); !uppers.empty())
    return refuse(
        fmt::format("{} carries {}, which would go with it: take it out of a bond or bridge (ip link set {} nomaster), "
                    "remove a VLAN (ip link delete {})",
                    interface.name, joined(uppers), interface.name, uppers.front()));
  if (!interface.mixed.empty())
    return refuse(fmt::format(
        "the route \"{}\" goes over {} and over others, and cannot be carried over in part: remove its next hop by {}",
        interface.mixed.front(), interface.name, interface.name));
  return {};
}

net::Status check_cut(NicHost& host, const InterfaceState& interface, const Forced& forced, const char* advice) {
  const auto session = host.session();
  if (!session && !forced.session)
    return net::Error{session.error().code,
                      fmt::format("whether {} carries this SSH session cannot be told: {}; --force-session moves it "
                                  "all the same{}",
                                  interface.name, session.error().message, advice)};
  if (session && *session && (*session)->needs(interface.name) && !forced.session)
    return refuse(fmt::format("{} carries this SSH session (from {}): --force-session moves it all the same{}",
                              interface.name, (*session)->peer, advice));
  if (!interface.default_route.empty() && !forced.default_route)
    return refuse(fmt::format("{} has the default route ({}): --force-default-route moves it all the same{}",
                              interface.name, interface.default_route, advice));
  return {};
}

}  // namespace

net::Result<NicFacts> find_nic(NicHost& host, const std::string& word) {
  auto address = net::parse_pci_address(word);
  if (!address) {
    if (auto interface = host.interface(word); !interface) return interface.error();
    address = host.pci_of(word);
    if (!address)
      return net::Error{net::Code::kInvalid,
                        fmt::format("{} has no PCI device behind it: vfio-pci takes PCI devices only", word)};
  }
  auto device = host.device(*address);
  if (!device) return device.error();
  if (!device->is_network())
    return net::Error{net::Code::kInvalid,
                      fmt::format("{} is no network card (class {:06x})", *address, device->class_code)};
  NicFacts nic{std::move(*device), std::nullopt};
  if (!nic.device.interfaces.empty()) {
    auto interface = host.interface(nic.device.interfaces.front());
    if (!interface && !is_absent(interface)) return interface.error();
    if (interface) nic.interface = std::move(*interface);
  }
  return nic;
}

std::vector<std::string> notes_of(NicHost& host, const NicFacts& nic) {
  auto notes = nic.interface ? nic.interface->notes : std::vector<std::string>();
  for (const net::PciDevice& other : kernels_in_group(host, nic.device)) {
    if (!other.is_network()) continue;
    const std::string interfaces = joined(other.interfaces);
    notes.push_back(fmt::format(
        "{} is in the same IOMMU group, on the driver {}{}: lbd can use neither before both are moved: lbctl port bind "
        "{}",
        other.address, other.driver, interfaces.empty() ? "" : fmt::format(" ({})", interfaces), other.address));
  }
  return notes;
}

net::Status check_bind(NicHost& host, const NicFacts& nic, const std::string& port, const Forced& forced) {
  if (auto root = check_root(host); !root) return root;
  if (auto name = check_name(host, port); !name) return name;
  if (auto device = check_device(host, nic); !device) return device;
  if (auto iommu = check_iommu(host, nic.device); !iommu) return iommu;
  if (auto vfio = check_vfio(host); !vfio) return vfio;
  if (!host.makes_twins()) return refuse("there is no /dev/net/tun, by which the twin is made: modprobe tun");
  if (!nic.interface) return {};
  if (auto above = check_above(host, *nic.interface); !above) return above;
  return check_cut(host, *nic.interface, forced, "; with --try 120s it comes back unless `lbctl port confirm` follows");
}

net::Status check_unbind(NicHost& host, const NicRecord& record, const Forced& forced) {
  if (auto root = check_root(host); !root) return root;
  const auto device = host.device(record.pci);
  if (!device) return device.error();
  const auto users = host.users(*device);
  if (users.empty()) return {};  // nothing goes through it
  if (!forced.stop)
    return refuse(fmt::format("{} is in use by {} (pid {}): stop it first, or --force-stop does", record.pci,
                              users.front().name, users.front().pid));
  const auto twin = host.interface(record.twin());
  if (is_absent(twin)) return {};
  if (!twin) return twin.error();
  return check_cut(host, *twin, forced, "");
}

}  // namespace lb::ctl
