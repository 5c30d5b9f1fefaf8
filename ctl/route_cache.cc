#include "ctl/route_cache.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

namespace lb::ctl {
namespace {

void put_request(NetlinkBatch& batch, uint32_t seq, const net::Address& address) {
  nlmsghdr* request = batch.add(RTM_GETROUTE, NLM_F_REQUEST, seq);
  auto* rt = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(rtmsg)));
  rt->rtm_family = address.is_ipv4() ? AF_INET : AF_INET6;
  rt->rtm_dst_len = address.is_ipv4() ? 32 : 128;
  if (address.is_ipv4()) {
    mnl_attr_put(request, RTA_DST, 4, address.ipv4_bytes());
  } else {
    mnl_attr_put(request, RTA_DST, 16, address.bytes().data());
  }
  batch.commit();
}

}  // namespace

net::Status RouteCache::ask(const std::vector<net::Address>& addresses) {
  for (size_t at = 0; at < addresses.size();) {
    NetlinkBatch batch;
    const uint32_t first_seq = seq_ + 1;
    const size_t first = at;
    while (at < addresses.size() && !batch.full()) put_request(batch, ++seq_, addresses[at++]);
    if (auto sent = socket_.send(batch); !sent) return sent;
    auto received = socket_.receive(batch.count(), [&](const nlmsghdr& message) {
      const size_t index = first + (message.nlmsg_seq - first_seq);
      if (index < at) routes_[addresses[index]] = read_route(message);
    });
    if (!received) return received;
  }
  return {};
}

net::Status RouteCache::ensure(const std::set<net::Address>& addresses) {
  std::vector<net::Address> missing;
  auto known = routes_.begin();
  // Both are in the same order: one walk.
  for (const net::Address& a : addresses) {
    while (known != routes_.end() && known->first < a) ++known;
    if (known == routes_.end() || known->first != a) missing.push_back(a);
  }
  return ask(missing);
}

bool RouteCache::invalidate(const KernelState::Effect& effect) {
  const size_t before = routes_.size();
  if (effect.routes) routes_.clear();
  if (effect.route) {
    const auto first = routes_.lower_bound(effect.route->address);
    auto last = first;
    while (last != routes_.end() && last->first.family() == effect.route->address.family() &&
           effect.route->contains(last->first)) {
      ++last;
    }
    routes_.erase(first, last);
  }
  return routes_.size() != before;
}

void RouteCache::keep_only(const std::set<net::Address>& addresses) {
  std::erase_if(routes_, [&](const auto& entry) { return !addresses.contains(entry.first); });
}

}  // namespace lb::ctl
