// A NIC that moves between the kernel and vfio-pci: what its interface had, and what a machine can be asked and told
// for it. The machine is an interface so that a test can make any step of a move fail.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/net/address.h"
#include "dataplane/net/pci_device.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

// An address or a route of an interface: for people, and the kernel's own message, so that whatever it tells is given
// again (metrics, preferred source, lifetime). Interface index and label in it are those of the interface that had it.
struct Carried {
  std::string text;              // "10.0.0.1/24"; "default via 10.0.0.254 metric 100"
  std::vector<uint8_t> message;  // body and attributes of RTM_NEWADDR or RTM_NEWROUTE
  friend bool operator==(const Carried&, const Carried&) = default;
};

struct InterfaceState {
  std::string name;
  net::Mac mac;
  uint32_t mtu = 0;
  bool up = false;       // administratively
  bool carrier = false;  // link
  std::vector<Carried> addresses;
  std::vector<Carried> routes;  // of all tables; those that follow from an address or come of a routing daemon left out
  std::vector<std::string> notes;  // what is not carried over, and why: sentences
  std::vector<std::string> mixed;  // routes that go over this interface and over others
  // The default route, of either family, that leaves by this interface; for people. Empty: none.
  std::string default_route;
};

// There is surely no interface of that name: it is not just that the kernel could not be asked.
inline bool is_absent(const net::Result<InterfaceState>& interface) {
  return !interface && interface.error().code == net::Code::kNotFound;
}

struct SshSession {
  std::string peer;             // the client's address
  std::string interface;        // by which the kernel answers it; empty: no way there
  std::string local_interface;  // that has the address which the client reached; empty: unknown
  bool needs(const std::string& name) const { return !name.empty() && (interface == name || local_interface == name); }
};

struct Process {
  int pid = 0;
  std::string name;
};

class NicHost {
 public:
  virtual ~NicHost() = default;

  // Facts. ERRORS: kNotFound when there is no such thing; others: it cannot be told, so nothing may be decided by it.
  virtual net::Result<net::PciDevice> device(const std::string& pci) = 0;
  virtual std::vector<net::PciDevice> network_devices() = 0;
  virtual std::optional<std::string> pci_of(const std::string& interface) = 0;
  virtual net::Result<InterfaceState> interface(const std::string& name) = 0;
  virtual bool is_root() = 0;
  enum class Vfio { kLoaded, kLoadable, kAbsent };
  virtual Vfio vfio() = 0;
  virtual bool makes_twins() = 0;  // /dev/net/tun is there
  virtual std::string kernel_command_line() = 0;
  virtual std::vector<std::string> uppers(const std::string& interface) = 0;  // bond, bridge, VLAN on top of it
  virtual uint32_t virtual_functions(const std::string& pci) = 0;             // SR-IOV: how many are made
  virtual std::vector<Process> users(const net::PciDevice& device) = 0;       // that have it open by vfio
  virtual net::Result<std::optional<SshSession>> session() = 0;  // that this process runs in; none: in none

  // Steps. Each is right to repeat.
  virtual net::Status set_override(const std::string& pci, const std::string& driver) = 0;  // empty: none
  virtual net::Status unbind(const std::string& pci) = 0;                                   // from the driver it has
  virtual net::Status bind(const std::string& pci, const std::string& driver) = 0;
  virtual net::Status make_twin(const std::string& name) = 0;    // a persistent TAP
  virtual net::Status remove_twin(const std::string& name) = 0;  // refused for what is no TAP
  virtual net::Status rename(const std::string& from, const std::string& to) = 0;
  virtual net::Status set_link(const std::string& name, const net::Mac& mac, uint32_t mtu, bool up) = 0;
  virtual net::Status add_address(const std::string& name, const Carried& address) = 0;
  virtual net::Status add_route(const std::string& name, const Carried& route) = 0;
  // SIGTERM, and SIGKILL to what is still there after `grace`.
  virtual net::Status stop(const Process& process, std::chrono::milliseconds grace) = 0;

  virtual std::chrono::milliseconds now() = 0;  // since boot, sleep included: what a deadline is in
  virtual void sleep(std::chrono::milliseconds time) = 0;
};

// sysfs, proc, dev: other folders in tests.
struct HostPaths {
  std::string sysfs = "/sys", proc = "/proc", dev = "/dev", modules = "/lib/modules";
};

}  // namespace lb::ctl
