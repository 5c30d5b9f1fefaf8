#include "ctl/netlink.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "ctl/log.h"
#include "ctl/neighbour_keeper.h"
#include "ctl/netlink_socket.h"
#include "ctl/route_cache.h"

namespace lb::ctl {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// A change of topology comes as a burst of events; what comes within this time makes one generation.
constexpr std::chrono::milliseconds kCoalesce{30};

class Netlink : public TopologySource {
 public:
  Netlink(asio::io_context& io, std::vector<PortLink> ports, NetlinkSocket events, NetlinkSocket requests,
          NetlinkSocket pokes)
      : ports_(std::move(ports)),
        events_(std::move(events)),
        routes_(std::move(requests)),
        keeper_(std::move(pokes)),
        readable_(io, ::dup(events_.fd())),
        coalesce_(io),
        tick_(io) {}

  net::Status start() {
    if (auto read = resync(); !read) return read;
    wait();
    return {};
  }

  net::Result<model::Topology> resolve(const std::set<net::Address>& backends) override {
    if (auto drained = drain(); !drained) return drained.error();
    if (auto asked = routes_.ensure(backends); !asked) return asked.error();
    model::Topology topology;
    for (const net::Address& backend : backends) {
      const Route& route = routes_.at(backend);
      const bool silent = keeper_.silent({route.interface, route.gateway.value_or(backend)});
      topology.reach.emplace_hint(topology.reach.end(), backend, make_reach(backend, route, state_, ports_, silent));
    }
    topology.kernel_addresses = state_.own_addresses();
    topology.ports = port_addresses(state_, ports_);
    return topology;
  }

  void follow(std::set<net::Address> backends) override {
    routes_.keep_only(backends);
    if (auto asked = routes_.ensure(backends); !asked) {
      log(LogLevel::kError, "routes_unknown", {{"why", asked.error().message}});
      return;
    }
    std::set<NeighbourKey> next_hops;
    for (const net::Address& backend : backends) {
      if (auto key = next_hop_of(backend, routes_.at(backend), state_, ports_)) next_hops.insert(*key);
    }
    keeper_.keep(next_hops);
    tick_at(NeighbourKeeper::Clock::now());
  }

  void on_change(std::function<void()> changed) override { changed_ = std::move(changed); }

  std::vector<std::string> problems() const override {
    if (!keeper_.table_full()) return {};
    return {
        "the kernel's neighbour table is full, so some next hops cannot be resolved: raise "
        "net.ipv4.neigh.default.gc_thresh3 and net.ipv6.neigh.default.gc_thresh3"};
  }

 private:
  net::Status resync() {
    state_.clear();
    routes_.clear();
    const auto take = [this](const nlmsghdr& m) { state_.apply(m); };
    if (auto s = routes_.socket().dump(RTM_GETLINK, AF_UNSPEC, take); !s) return s;
    if (auto s = routes_.socket().dump(RTM_GETADDR, AF_UNSPEC, take); !s) return s;
    if (auto s = routes_.socket().dump(RTM_GETNEIGH, AF_INET, take); !s) return s;
    return routes_.socket().dump(RTM_GETNEIGH, AF_INET6, take);
  }

  // Takes all events that are there; whatever matters arms the coalescing timer.
  net::Status drain() {
    bool matters = false;
    auto drained = events_.drain([&](const nlmsghdr& m) {
      const KernelState::Effect effect = state_.apply(m);
      if (effect.none()) return;
      // Without a doubtful route an address of ours may still have come or gone.
      matters |= routes_.invalidate(effect) || effect.routes;
      if (!effect.neighbour || !keeper_.in_use(*effect.neighbour)) return;
      keeper_.observe(*effect.neighbour, state_.neighbour(*effect.neighbour));
      matters = true;
    });
    if (!drained) return drained.error();
    if (*drained == NetlinkSocket::Drained::kLost) {
      log(LogLevel::kWarning, "kernel_events_lost", {{"what", "asking for everything anew"}});
      if (auto read = resync(); !read) return read;
      matters = true;
    }
    if (matters) arm();
    return {};
  }

  void arm() {
    if (armed_) return;
    armed_ = true;
    coalesce_.expires_after(kCoalesce);
    coalesce_.async_wait([this](const error_code& error) {
      if (error) return;
      armed_ = false;
      if (changed_) changed_();
      // A next hop that was lost is asked for at once.
      tick_at(NeighbourKeeper::Clock::now());
    });
  }

  void wait() {
    readable_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const error_code& error) {
      if (error) return;
      if (auto drained = drain(); !drained) log(LogLevel::kError, "kernel_events", {{"why", drained.error().message}});
      wait();
    });
  }

  void tick_at(NeighbourKeeper::Clock::time_point when) {
    tick_.expires_at(when);
    tick_.async_wait([this](const error_code& error) {
      if (error) return;
      const auto now = NeighbourKeeper::Clock::now();
      auto next = keeper_.tick(now, state_);
      if (!next) log(LogLevel::kError, "neighbours_not_asked", {{"why", next.error().message}});
      tick_at(next ? *next : now + std::chrono::seconds(1));
    });
  }

  std::vector<PortLink> ports_;
  KernelState state_;
  NetlinkSocket events_;
  RouteCache routes_;
  NeighbourKeeper keeper_;
  asio::posix::stream_descriptor readable_;  // a duplicate: asio closes what it is given
  asio::steady_timer coalesce_, tick_;
  std::function<void()> changed_;
  bool armed_ = false;
};

}  // namespace

net::Result<std::unique_ptr<TopologySource>> open_netlink(asio::io_context& io, std::vector<PortLink> ports) {
  auto events =
      NetlinkSocket::open(NetlinkSocket::Mode::kNoWait,
                          {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                           RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP});
  if (!events) return std::move(events).error();
  auto requests = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!requests) return std::move(requests).error();
  auto pokes = NetlinkSocket::open(NetlinkSocket::Mode::kNoWait);
  if (!pokes) return std::move(pokes).error();
  auto netlink =
      std::make_unique<Netlink>(io, std::move(ports), std::move(*events), std::move(*requests), std::move(*pokes));
  if (auto started = netlink->start(); !started) return started.error();
  return std::unique_ptr<TopologySource>(std::move(netlink));
}

}  // namespace lb::ctl
