// A TopologySource that knows what its inner one knows, and the path MTUs that ICMP errors to our outer sources report:
// these addresses are the host's, so the kernel gets the errors whatever the engine is, and raw sockets show them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "ctl/path_mtu.h"
#include "ctl/topology_source.h"

namespace lb::ctl {

// What reports are judged by: what is in use.
struct InUse {
  const model::Topology& topology;
  const model::Snapshot& snapshot;
  int64_t now;  // seconds since 1970-01-01 UTC
};

class PathMtuSource : public TopologySource {
 public:
  // Until then nothing is learnt.
  virtual void judge_by(std::function<InUse()> in_use) = 0;
};

// Where a socket cannot be opened nothing is learnt of that family; a warning in the log says so.
std::unique_ptr<PathMtuSource> learn_path_mtus(boost::asio::io_context& io, std::unique_ptr<TopologySource> inner);

}  // namespace lb::ctl
