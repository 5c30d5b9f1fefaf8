// Address and route messages of rtnetlink, taken from one interface and made fit for another. No sockets.
#pragma once

#include <linux/netlink.h>

#include <optional>
#include <string>

#include "ctl/nic.h"

namespace lb::ctl {

// What a dump of addresses tells of interface `index`. None: of another one, or made by the kernel itself (link-local).
std::optional<Carried> read_carried_address(const nlmsghdr& message, int index);

struct CarriedRoute {
  Carried route;
  bool is_default = false;
  bool mixed = false;          // has next hops by other interfaces as well
  bool of_the_kernel = false;  // it follows from an address, or stands for one that says noprefixroute
  bool of_a_daemon = false;    // bird, zebra, ...: it will see the interface come and go, and do what it does then
};
// None: not by interface `index`, or of the table `local`.
std::optional<CarriedRoute> read_carried_route(const nlmsghdr& message, int index);

// Writes body and attributes behind `request`, whose header is set, for interface `index` called `name`.
// REQUIRES: room for message.size() + 64 bytes.
void put_address(nlmsghdr* request, const Carried& address, int index, const std::string& name);
// The address makes no route to its prefix: NetworkManager's, which makes them itself and calls them the kernel's.
bool has_no_prefix_route(const Carried& address);
void put_route(nlmsghdr* request, const Carried& route, int index);

}  // namespace lb::ctl
