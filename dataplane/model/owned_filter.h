// How a kernel interface keeps its own traffic while lbd takes what it owns. Two recipes are BPF, implemented in xdp/
// and handed to the DPDK ports by dataplane/lbd.cc, since dpdk/ knows no BPF and xdp/ knows no DPDK; one is the NIC's.
//   AF_XDP     an XDP program redirects owned packets to the queue's socket and passes the rest to the kernel
//   AF_PACKET  the kernel sees a copy of everything; a tc ingress program drops what is owned
//   bifurcated rules of the NIC bring what is owned to DPDK (dpdk/nic_rules.h, which tells what differs)
// "Owned": IPv4 or IPv6 (behind up to two VLAN tags) to an owned address, with the interface's MAC as destination; ND
// and MLD (ICMPv6 130-137, 143) stay the kernel's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

namespace lb::model {

// Who has an interface's one XDP program, as far as the asker may know: only root learns whose it is.
struct XdpUse {
  enum class By : uint8_t { kNobody, kLbd, kOther, kUntold };
  By by = By::kNobody;
  std::string sentence;  // of kOther: what a start says; of kUntold: which program; else empty
};

class OwnedFilter {
 public:
  virtual ~OwnedFilter() = default;  // detaches
  // Replaces the set: addresses that stay are never missing in between.
  virtual net::Status set_owned(std::span<const net::Address> addresses) = 0;
  virtual std::string description() const = 0;  // "af_xdp native", "af_xdp generic", "af_packet",
                                                // "mlx5 (bifurcated)"
};

class OwnedFilterFactory {
 public:
  virtual ~OwnedFilterFactory() = default;
  // Must be attached before the AF_XDP sockets are made: libxdp adopts the program it finds. Native mode first, then
  // generic.
  virtual net::Result<std::unique_ptr<OwnedFilter>> attach_xdp(const std::string& ifname) = 0;
  virtual net::Result<std::unique_ptr<OwnedFilter>> attach_tc(const std::string& ifname) = 0;
};

}  // namespace lb::model
