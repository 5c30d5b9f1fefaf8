// Where control learns how backends are reached: the kernel by rtnetlink (netlink.h), or a made-up one in tests.
// Control thread only.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/model/reach.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

struct PathMtu;

class TopologySource {
 public:
  virtual ~TopologySource() = default;
  // What is known now of these and of the host's own addresses; asks the kernel about addresses that are not followed
  // yet. May block, about 10 microseconds an address that is new.
  virtual net::Result<model::Topology> resolve(const std::set<net::Address>& backends) = 0;
  // From now on these are kept resolved, and a change of what resolve() would say of them is told to on_change().
  virtual void follow(std::set<net::Address> backends) = 0;
  virtual void on_change(std::function<void()> changed) = 0;
  // Sentences for the summary: what hinders resolution as a whole.
  virtual std::vector<std::string> problems() const = 0;
  // What routers on the way to a backend have reported; null: nothing that still counts.
  virtual const PathMtu* path_mtu(const net::Address&) const { return nullptr; }
};

}  // namespace lb::ctl
