// TopologySource over rtnetlink: routes, neighbours, links and addresses of this network namespace, followed by events.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

#include "ctl/kernel_state.h"
#include "ctl/topology_source.h"

namespace lb::ctl {

// ports: the engine's, as control sees them; those without a kernel interface resolve nothing.
net::Result<std::unique_ptr<TopologySource>> open_netlink(boost::asio::io_context& io, std::vector<PortLink> ports);

}  // namespace lb::ctl
