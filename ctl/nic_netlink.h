// The kernel's interfaces by rtnetlink, for moving a NIC: what one has, and giving it to another. Opens a socket a
// call: nothing here is frequent. What is read decides what is cut and what is carried over, so it is whole or an error
// (kUnavailable: it changed all the time).
#pragma once

#include <optional>
#include <string>

#include "ctl/nic.h"
#include "dataplane/host/kernel_interface.h"

namespace lb::ctl {

// ERRORS: kNotFound: no such interface here.
net::Result<InterfaceState> read_interface(const std::string& name);
// The interface by which the kernel would send to an address, from `source` if that is given; none: it would not.
net::Result<std::optional<std::string>> interface_towards(const net::Address& address,
                                                          const std::optional<net::Address>& source = std::nullopt);
// The interface that has an address; none: it is none of this machine's.
net::Result<std::optional<std::string>> interface_with(const net::Address& address);

// None: no such interface, or a driver that names no largest one.
std::optional<host::MtuRange> mtu_range(const std::string& name);

net::Status rename_interface(const std::string& from, const std::string& to);
// Changes only what differs.
net::Status change_link(const std::string& name, const net::Mac& mac, uint32_t mtu, bool up);
net::Status delete_tap(const std::string& name);  // ERRORS: kConflict: it is another kind of interface
// What is there already is left as it is. The address is in use at once: it was ours before.
net::Status give_address(const std::string& name, const Carried& address);
net::Status give_route(const std::string& name, const Carried& route);

}  // namespace lb::ctl
