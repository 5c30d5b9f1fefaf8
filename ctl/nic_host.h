// The machine that lbctl runs on: sysfs for devices and drivers, rtnetlink for interfaces, /dev/net/tun for twins,
// /proc for who uses what.
#pragma once

#include "ctl/nic.h"

namespace lb::ctl {

class LinuxHost : public NicHost {
 public:
  explicit LinuxHost(HostPaths paths = {}) : paths_(std::move(paths)), bus_(paths_.sysfs, paths_.modules) {}

  net::Result<net::PciDevice> device(const std::string& pci) override { return bus_.find(pci); }
  std::vector<net::PciDevice> network_devices() override { return bus_.network_devices(); }
  std::optional<std::string> pci_of(const std::string& interface) override { return bus_.address_of(interface); }
  net::Result<InterfaceState> interface(const std::string& name) override;
  bool is_root() override;
  Vfio vfio() override;
  bool makes_twins() override;
  std::string kernel_command_line() override;
  std::vector<std::string> uppers(const std::string& interface) override;
  uint32_t virtual_functions(const std::string& pci) override;
  std::vector<Process> users(const net::PciDevice& device) override;
  // By SSH_CONNECTION, of this process or, since sudo takes it away, of the nearest ancestor that has it.
  net::Result<std::optional<SshSession>> session() override;

  net::Status set_override(const std::string& pci, const std::string& driver) override;
  net::Status unbind(const std::string& pci) override;
  net::Status bind(const std::string& pci, const std::string& driver) override;
  net::Status make_twin(const std::string& name) override;
  net::Status remove_twin(const std::string& name) override;
  net::Status rename(const std::string& from, const std::string& to) override;
  net::Status set_link(const std::string& name, const net::Mac& mac, uint32_t mtu, bool up) override;
  net::Status add_address(const std::string& name, const Carried& address) override;
  net::Status add_route(const std::string& name, const Carried& route) override;
  net::Status stop(const Process& process, std::chrono::milliseconds grace) override;

  std::chrono::milliseconds now() override;
  void sleep(std::chrono::milliseconds time) override;

 private:
  bool ends(int pid, std::chrono::milliseconds wait);
  std::string device_path(const std::string& pci) const { return paths_.sysfs + "/bus/pci/devices/" + pci; }

  HostPaths paths_;
  net::PciBus bus_;
};

}  // namespace lb::ctl
