// Where a backend's packets leave: what the kernel's routes and neighbours say, resolved by control (ctl/netlink),
// compiled into the snapshot. One Reach per backend address.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/net/address.h"
#include "dataplane/net/ids.h"

namespace lb::model {

// Which of the limits is the smallest.
enum class MtuFrom : uint8_t { kInterface, kPort, kRoute, kPath };

struct Reach {
  bool resolved = false;  // everything below is valid
  std::string why;  // not resolved: the sentence ("no route to 10.0.0.11", "neighbour 10.0.0.1 on lan does not answer")
  net::PortId port{};         // egress
  uint16_t vlan = 0;          // that frames leave in, 1..4094; 0: untagged
  net::Address next_hop;      // neighbour: the gateway, or the backend itself
  bool on_link = false;       // next_hop is the backend
  net::Address source;        // our address on that egress, of the backend's family: outer source of tunnels
  net::Mac dst_mac, src_mac;  // of the neighbour, of the egress interface
  uint16_t mtu = 0;           // bytes of IP packet: of interface, port, route, and what routers on the way reported
  MtuFrom mtu_from = MtuFrom::kInterface;
  friend bool operator==(const Reach&, const Reach&) = default;
};

// Our lowest addresses on a port's interface, or on its twin, link-local ones aside; a router's, in what it says
// itself.
struct PortAddress {
  std::optional<net::Address> ipv4, ipv6;
  friend bool operator==(const PortAddress&, const PortAddress&) = default;
};

// What the kernel knows that a snapshot needs.
struct Topology {
  std::map<net::Address, Reach> reach;      // by backend address
  std::set<net::Address> kernel_addresses;  // addresses on the host's interfaces
  std::vector<PortAddress> ports = {};      // by PortId; may be shorter
  friend bool operator==(const Topology&, const Topology&) = default;
};

}  // namespace lb::model
