// Keeps the next hops in use resolved: nobody but us sends to them by the kernel, so nobody but us makes it ask
// (RTM_NEWNEIGH with NTF_USE, as if a packet had to go there). A silent one is asked again and again, ever more slowly.
#pragma once

#include <chrono>
#include <map>
#include <set>

#include "ctl/kernel_state.h"
#include "ctl/netlink_socket.h"

namespace lb::ctl {

class NeighbourKeeper {
 public:
  using Clock = std::chrono::steady_clock;

  explicit NeighbourKeeper(NetlinkSocket socket) : socket_(std::move(socket)) {}
  void keep(const std::set<NeighbourKey>& keys);
  bool in_use(const NeighbourKey& key) const { return uses_.contains(key); }
  bool silent(const NeighbourKey& key) const;
  // After an event about one that is in use.
  void observe(const NeighbourKey& key, const Neighbour* now);
  // Asks for those whose time has come. RETURNS: when to come back.
  net::Result<Clock::time_point> tick(Clock::time_point now, const KernelState& state);
  // The kernel refused an entry lately: its table is full.
  bool table_full() const { return table_full_; }

 private:
  struct Use {
    Clock::time_point next{};  // not before
    std::chrono::seconds pause{1};
    bool silent = false;
  };
  void read_refusals();

  NetlinkSocket socket_;
  std::map<NeighbourKey, Use> uses_;
  uint32_t seq_ = 0;
  bool table_full_ = false, refused_ = false;
  Clock::time_point full_until_{};
};

}  // namespace lb::ctl
