// Host routes by one interface, in the main table, as rtnetlink messages. Knows no interface's life.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "ctl/netlink_socket.h"
#include "dataplane/net/address.h"

namespace lb::ctl {

class VipRoutes {
 public:
  // ERRORS: the kernel did not tell which are there already: those of ours by the interface, of a former lbd.
  static net::Result<VipRoutes> open(int interface, uint8_t protocol);

  // Adds what is missing, removes what is not wanted. RETURNS: a sentence for each address for which that failed.
  std::map<net::Address, std::string> set(const std::set<net::Address>& wanted);
  // Asks the kernel for one of them, another one each time: somebody may have removed it. RETURNS: false when one is
  // gone, from then on. An interface that was down for a moment has lost them all.
  bool still_has_next();

 private:
  VipRoutes(int interface, uint8_t protocol, NetlinkSocket socket)
      : interface_(interface), protocol_(protocol), socket_(std::move(socket)) {}
  // RETURNS: errno by address of those that were refused; 0 is not in it.
  net::Result<std::map<net::Address, int>> request(uint16_t type, uint16_t flags,
                                                   const std::set<net::Address>& addresses);

  int interface_;
  uint8_t protocol_;
  NetlinkSocket socket_;
  std::set<net::Address> there_;
  std::optional<net::Address> asked_;  // last
  bool has_lost_ = false;
};

}  // namespace lb::ctl
