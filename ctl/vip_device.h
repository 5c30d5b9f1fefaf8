// The TUN interface lbd-vip, and a host route by it for each announced VIP, of protocol 201, in the main table. Not
// persistent: when the process dies the kernel removes the interface, and with it the routes, at once. With engine xdp
// a holder (vip_holder.h) keeps it as long as the programs forward.
//
// What the kernel sends by it came from this host, or was punted to it: nobody is at the other end, it is read, counted
// and dropped.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "ctl/announcer.h"

namespace lb::ctl {

inline constexpr const char* kVipInterface = "lbd-vip";
inline constexpr uint8_t kVipProtocol = 201;  // of routes: RTPROT_* below 200 are other programs'

struct VipHolding {
  std::string path;     // of the holder's socket: where an lbd that follows takes over from
  std::string socket;   // of lbd, by which the holder finds the programs
  bool wanted = false;  // start one: engine xdp
};

std::unique_ptr<VipDevice> open_vip_device(boost::asio::io_context& io, VipHolding holding);

}  // namespace lb::ctl
