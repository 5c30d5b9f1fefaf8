// The kernel's route to each backend address, asked once (RTM_GETROUTE) and again after an event that may change it.
#pragma once

#include <map>
#include <set>

#include "ctl/kernel_state.h"
#include "ctl/netlink_socket.h"

namespace lb::ctl {

class RouteCache {
 public:
  explicit RouteCache(NetlinkSocket socket) : socket_(std::move(socket)) {}
  // Afterwards each of these is known. Pipelined: about 10 microseconds an address.
  net::Status ensure(const std::set<net::Address>& addresses);
  // RETURNS: true when a known answer became doubtful and was dropped.
  bool invalidate(const KernelState::Effect& effect);
  void keep_only(const std::set<net::Address>& addresses);
  void clear() { routes_.clear(); }
  const Route& at(const net::Address& address) const { return routes_.at(address); }  // REQUIRES: ensured
  NetlinkSocket& socket() { return socket_; }

 private:
  net::Status ask(const std::vector<net::Address>& addresses);

  NetlinkSocket socket_;
  uint32_t seq_ = 0;
  std::map<net::Address, Route> routes_;  // in order of address, so that a prefix is a range
};

}  // namespace lb::ctl
