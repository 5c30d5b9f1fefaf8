// The kernel's links, addresses and neighbours as rtnetlink tells them, and what a route lookup says of a backend with
// them. No sockets: messages in, values out.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/model/reach.h"
#include "dataplane/net/address.h"

namespace lb::ctl {

struct Link {
  std::string name;
  net::Mac mac;
  uint32_t mtu = 0;
  bool up = false;  // administratively, and has a carrier
  // Of an interface for one VLAN of another: that one's index, the VLAN, and whether its tags are 802.1Q's; else 0.
  int below = 0;
  uint16_t vlan = 0;
  bool is_dot1q = false;
  friend bool operator==(const Link&, const Link&) = default;
};

struct Neighbour {
  uint16_t state = 0;  // NUD_*
  net::Mac mac;
  bool usable() const;  // the kernel would send to it now
};

using NeighbourKey = std::pair<int, net::Address>;  // interface index, address

// One interface that lbd drives.
struct PortLink {
  std::string ifname;
  net::PortId port{};
  uint16_t mtu = 0;  // configured, or the device's
};

// The kernel's answer to "how would you send to this address".
struct Route {
  enum class Kind { kUnicast, kNone, kLocal, kBlackhole, kUnreachable, kProhibit, kOther };
  Kind kind = Kind::kNone;
  int interface = 0;
  std::optional<net::Address> gateway;  // none: on link
  std::optional<net::Address> source;   // RTA_PREFSRC
  uint32_t mtu = 0;                     // of the route; 0: the interface's
};

class KernelState {
 public:
  // What an event may have changed.
  struct Effect {
    bool routes = false;                    // any route answer (link, address, rule, next hop object)
    std::optional<net::Prefix> route;       // answers for addresses in it
    std::optional<NeighbourKey> neighbour;  // whether or where it is reached
    bool none() const { return !routes && !route && !neighbour; }
  };
  Effect apply(const nlmsghdr& message);
  void clear();

  std::set<net::Address> own_addresses() const;
  const Link* link(int index) const;
  const Neighbour* neighbour(const NeighbourKey& key) const;
  // The first address on an interface of a family that tunnels may come from.
  std::optional<net::Address> source_on(int index, net::Family family) const;
  // Of the interface of that name: the addresses that it may send from; where it has none of a family, those of a VLAN
  // of it.
  model::PortAddress addresses_on(const std::string& ifname) const;

 private:
  Effect apply_link(const nlmsghdr& message);
  Effect apply_address(const nlmsghdr& message);
  Effect apply_neighbour(const nlmsghdr& message);

  std::map<int, Link> links_;
  std::set<std::pair<int, net::Address>> addresses_;
  std::map<NeighbourKey, Neighbour> neighbours_;
};

// RTM_NEWROUTE or NLMSG_ERROR, as RTM_GETROUTE is answered.
Route read_route(const nlmsghdr& message);

// The neighbour that packets to `backend` need; none when the route leads nowhere or to no port of ours.
std::optional<NeighbourKey> next_hop_of(const net::Address& backend, const Route& route, const KernelState& state,
                                        const std::vector<PortLink>& ports);

// By PortId.
std::vector<model::PortAddress> port_addresses(const KernelState& state, const std::vector<PortLink>& ports);

// silent: the next hop was asked before and did not answer, whatever its entry says at this moment.
model::Reach make_reach(const net::Address& backend, const Route& route, const KernelState& state,
                        const std::vector<PortLink>& ports, bool silent = false);

}  // namespace lb::ctl
