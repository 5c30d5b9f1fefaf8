// A kernel network interface as a port needs to know it, and its receive offloads: turned off while we use it, because
// packets that the kernel merged (GRO, LRO) or whose VLAN tag it took away do not fit poll-mode drivers; restored
// afterwards. By ioctl on a plain datagram socket, the handle that SIOCETHTOOL wants; nothing is sent or received by
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

namespace lb::host {

struct KernelInterface {
  std::string name;
  net::Mac mac;
  uint16_t mtu = 0;
  uint32_t queues = 1;                  // receive queues that packets may arrive on
  std::optional<uint32_t> most_queues;  // that its driver can be told to have; none: the driver does not say
  bool combined = true;  // the driver pairs receive and transmit queues: `ethtool -L DEV combined N`, else `rx N tx N`
  bool up = false;       // administratively
};

bool interface_exists(const std::string& name);
std::vector<std::string> interface_names();
// ERRORS: kNotFound, kPermission, kIo.
net::Result<KernelInterface> query_interface(const std::string& name);
// As most_queues of it; none as well: no such interface.
std::optional<uint32_t> most_queues(const std::string& name);
// "ethtool -L eth1 combined 4"
std::string channels_command(const KernelInterface& interface, uint32_t queues);
bool interface_link_up(const std::string& name);  // up, with carrier
// Packets that the kernel wanted to send by it and lost, since it was made (/proc/net/dev: that of the caller's network
// namespace, which /sys need not show). None: no such interface.
std::optional<uint64_t> interface_tx_dropped(const std::string& name);
// What is so already is left alone. ERRORS: kNotFound, kPermission, kIo.
net::Status set_interface_mac(const std::string& name, const net::Mac& mac);
net::Status set_interface_mtu(const std::string& name, uint16_t mtu);
net::Status set_interface_up(const std::string& name);

// Largest IP packets that a device can be set to.
struct MtuRange {
  uint32_t least = 0, most = 0;
};

// Sentences about twins, and what they need.
std::string no_tun(const std::string& path, const std::string& why);
std::string no_tap_of_ours(const std::string& name);

// Turns gro, lro and rxvlan off for as long as it lives. A killed process leaves them off: a loss of speed for the
// host's own traffic, mended by `ethtool -K DEV gro on`.
class OffloadsOff {
 public:
  explicit OffloadsOff(const std::string& name);
  ~OffloadsOff();
  OffloadsOff(const OffloadsOff&) = delete;
  OffloadsOff& operator=(const OffloadsOff&) = delete;

 private:
  std::string name_;
  uint32_t flags_before_ = 0;  // ETH_FLAG_LRO, ETH_FLAG_RXVLAN as they were
  bool gro_before_ = false;
};

}  // namespace lb::host
