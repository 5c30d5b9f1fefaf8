// Whether DPDK can take a NIC by its PCI address, by vfio-pci or beside a bifurcated driver of the kernel's, judged by
// what sysfs tells, before DPDK starts: each reason why not is a sentence with the command that mends it.
#pragma once

#include <string>
#include <vector>

#include "dataplane/net/pci_device.h"
#include "dataplane/net/result.h"

namespace lb::host {

// All of it, in the order of mending; empty: DPDK can take it.
std::vector<net::Error> pci_problems(const net::PciBus& bus, const net::PciDevice& device);

// The first of it. ERRORS: kNotFound (no such device), kInvalid (not a NIC), kUnsupported (of NVIDIA's, and not driven
// by mlx5_core), kUnavailable (no IOMMU, vfio-pci absent or not loaded, the kernel or nobody has it, its IOMMU group is
// shared; bifurcated: without Verbs, without interface here or with several).
net::Result<net::PciDevice> usable_pci_device(const net::PciBus& bus, const std::string& address);

// Why a device that passed is not there once DPDK runs. complaints: what DPDK logged when it looked for devices.
net::Error pci_device_not_taken(const std::string& address, const std::string& complaints);

}  // namespace lb::host
