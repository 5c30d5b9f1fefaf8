// What the kernel's sysfs tells of a PCI device: what it is, which driver has it, its network interfaces, its IOMMU
// group; and which modules there are. Read anew at every call; nothing is changed. The roots are parameters, so that
// tests make up a machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/result.h"

namespace lb::net {

inline constexpr const char* kVfioDriver = "vfio-pci";
// Bifurcated: DPDK drives the NIC beside it, and it keeps its interface.
inline constexpr const char* kBifurcatedDriver = "mlx5_core";

// Whether a device with that driver lets VFIO have the others of its IOMMU group: nobody uses it (no driver, pci-stub),
// it is VFIO's as well, or it is a bridge or an event collector whose driver does no DMA. Source: driver_managed_dma in
// Linux 6.1, drivers/iommu/iommu.c.
bool leaves_group_to_vfio(std::string_view driver);

// domain:bus:slot.function in lower case, the domain added when it is not there: "3B:00.0" is 0000:3b:00.0.
// RETURNS: none when the text is no such address.
std::optional<std::string> parse_pci_address(std::string_view text);

struct PciDevice {
  std::string address;  // 0000:3b:00.0
  uint16_t vendor = 0, device = 0;
  uint32_t class_code = 0;              // class, subclass, programming interface: 0x020000 is Ethernet
  std::string driver;                   // that has it now; empty: none
  std::string driver_override;          // empty: any driver may take it
  std::vector<std::string> interfaces;  // of the kernel; sorted
  std::optional<uint32_t> iommu_group;
  std::vector<std::string> group_others;  // PCI addresses of other devices of that group; sorted
  std::optional<uint32_t> numa_node;
  bool verbs = false;  // the kernel offers it to processes by ib_uverbs, which is how DPDK drives mlx5

  bool is_nvidia() const noexcept { return vendor == 0x15b3; }
  bool is_bifurcated() const noexcept { return driver == kBifurcatedDriver; }
  bool is_network() const noexcept { return class_code >> 16 == 0x02; }
  std::string ids() const;  // 1af4:1041
};

class PciBus {
 public:
  explicit PciBus(std::string sysfs = "/sys", std::string modules = "/lib/modules")
      : sysfs_(std::move(sysfs)), modules_(std::move(modules)) {}

  // address: as parse_pci_address() gives it. ERRORS: kNotFound.
  Result<PciDevice> find(const std::string& address) const;
  std::vector<PciDevice> network_devices() const;  // by address
  // The device behind a kernel's network interface; none: it is a virtual one, or on another bus.
  std::optional<std::string> address_of(const std::string& interface) const;
  bool has_driver(const std::string& name) const;  // loaded (or built in), so that a device can be bound to it
  bool has_module(const std::string& name) const;  // that can be loaded, of the kernel that runs
  bool has_iommu() const;                          // any group at all
  const std::string& sysfs() const noexcept { return sysfs_; }

 private:
  std::string sysfs_, modules_;
};

}  // namespace lb::net
