#include "ctl/vip_routes.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <vector>

#include "ctl/netlink_attributes.h"

namespace lb::ctl {
namespace {

// What stands there already. None: not a host route of that protocol by that interface.
std::optional<net::Address> host_route(const nlmsghdr& message, int interface, uint8_t protocol) {
  const auto bytes = payload(message);
  const auto head = value_of<rtmsg>(bytes);
  if (message.nlmsg_type != RTM_NEWROUTE || !head || head->rtm_protocol != protocol) return std::nullopt;
  const auto found = attributes(bytes, sizeof(rtmsg));
  if (static_cast<int>(u32_of(find(found, RTA_OIF))) != interface) return std::nullopt;
  const auto address = address_of(find(found, RTA_DST));
  if (!address || head->rtm_dst_len != (address->is_ipv4() ? 32 : 128)) return std::nullopt;
  return address;
}

// The body of a message about a host route. RETURNS: it, to be completed.
rtmsg* put_route(nlmsghdr& message, const net::Address& address) {
  const bool ipv4 = address.is_ipv4();
  auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(&message, sizeof(rtmsg)));
  route->rtm_family = ipv4 ? AF_INET : AF_INET6;
  route->rtm_dst_len = ipv4 ? 32 : 128;
  mnl_attr_put(&message, RTA_DST, ipv4 ? 4 : 16, ipv4 ? address.ipv4_bytes() : address.bytes().data());
  return route;
}

// An answer to "which route has this address" that says: not ours. One of another table, which rules put first, and one
// that the address is the host's own tell nothing of ours.
bool is_lost(const nlmsghdr& message, int interface) {
  const auto bytes = payload(message);
  const auto head = value_of<rtmsg>(bytes);
  if (message.nlmsg_type != RTM_NEWROUTE || !head || head->rtm_table != RT_TABLE_MAIN || head->rtm_type == RTN_LOCAL)
    return false;
  const uint8_t whole = head->rtm_family == AF_INET ? 32 : 128;
  return head->rtm_dst_len != whole ||
         static_cast<int>(u32_of(find(attributes(bytes, sizeof(rtmsg)), RTA_OIF))) != interface;
}

std::string refusal(const net::Address& address, int error, const std::string& words) {
  const std::string prefix = fmt::format("{}/{}", address.to_string(), address.is_ipv4() ? 32 : 128);
  const char* show = address.is_ipv4() ? "ip route show" : "ip -6 route show";
  if (error == EEXIST)
    return fmt::format("this host has another route to {}, which is not lbd's: remove it (`{} {}` shows it)", prefix,
                       show, prefix);
  return fmt::format("the kernel takes no route to {}: {}", prefix, words);
}

// By address that was refused: errno.
using Refused = net::Result<std::map<net::Address, int>>;

int error_of(const Refused& refused, const net::Address& address) {
  if (!refused) return EIO;
  const auto it = refused->find(address);
  return it == refused->end() ? 0 : it->second;
}

std::string words_of(const Refused& refused, int error) {
  return refused ? std::strerror(error) : refused.error().message;
}

}  // namespace

net::Result<VipRoutes> VipRoutes::open(int interface, uint8_t protocol) {
  auto socket = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!socket) return std::move(socket).error();
  VipRoutes routes(interface, protocol, std::move(*socket));
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    auto read = routes.socket_.dump(RTM_GETROUTE, family, [&](const nlmsghdr& message) {
      if (const auto address = host_route(message, interface, protocol)) routes.there_.insert(*address);
    });
    if (!read) return read.error();
  }
  return routes;
}

net::Result<std::map<net::Address, int>> VipRoutes::request(uint16_t type, uint16_t flags,
                                                            const std::set<net::Address>& addresses) {
  std::map<net::Address, int> refused;
  auto next = addresses.begin();
  while (next != addresses.end()) {
    NetlinkBatch batch;
    std::vector<net::Address> asked;
    for (; next != addresses.end() && !batch.full(); ++next) {
      nlmsghdr* message = batch.add(type, NLM_F_REQUEST | NLM_F_ACK | flags, static_cast<uint32_t>(asked.size()));
      rtmsg* route = put_route(*message, *next);
      route->rtm_table = RT_TABLE_MAIN;
      route->rtm_protocol = protocol_;
      route->rtm_scope = next->is_ipv4() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
      route->rtm_type = RTN_UNICAST;
      mnl_attr_put_u32(message, RTA_OIF, static_cast<uint32_t>(interface_));
      batch.commit();
      asked.push_back(*next);
    }
    if (auto sent = socket_.send(batch); !sent) return sent.error();
    auto answered = socket_.receive(batch.count(), [&](const nlmsghdr& message) {
      const auto error = value_of<nlmsgerr>(payload(message));
      if (message.nlmsg_type == NLMSG_ERROR && error && error->error != 0 && message.nlmsg_seq < asked.size())
        refused[asked[message.nlmsg_seq]] = -error->error;
    });
    if (!answered) return answered.error();
  }
  return refused;
}

bool VipRoutes::still_has_next() {
  if (has_lost_ || there_.empty()) return !has_lost_;
  auto next = asked_ ? there_.upper_bound(*asked_) : there_.begin();
  if (next == there_.end()) next = there_.begin();
  asked_ = *next;
  NetlinkBatch batch;
  put_route(*batch.add(RTM_GETROUTE, NLM_F_REQUEST, 0), *next)->rtm_flags = RTM_F_FIB_MATCH;
  batch.commit();
  // Without an answer nothing is known to be lost.
  if (socket_.send(batch))
    (void)socket_.receive(1, [&](const nlmsghdr& message) {
      has_lost_ = message.nlmsg_type == NLMSG_ERROR || is_lost(message, interface_);
    });
  return !has_lost_;
}

std::map<net::Address, std::string> VipRoutes::set(const std::set<net::Address>& wanted) {
  std::map<net::Address, std::string> failed;
  std::set<net::Address> gone, fresh;
  std::ranges::set_difference(there_, wanted, std::inserter(gone, gone.end()));
  std::ranges::set_difference(wanted, there_, std::inserter(fresh, fresh.end()));
  // Withdrawals first: they are what somebody waits for.
  const auto removed = request(RTM_DELROUTE, 0, gone);
  for (const net::Address& address : gone) {
    const int error = error_of(removed, address);
    if (error == 0 || error == ESRCH)  // the latter: somebody else did it
      there_.erase(address);
    else
      failed[address] =
          fmt::format("the kernel keeps the route to {}: {}", address.to_string(), words_of(removed, error));
  }
  const auto added = request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, fresh);
  for (const net::Address& address : fresh) {
    const int error = error_of(added, address);
    if (error == 0)
      there_.insert(address);
    else
      failed[address] = refusal(address, error, words_of(added, error));
  }
  return failed;
}

}  // namespace lb::ctl
