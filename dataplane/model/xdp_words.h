// Why an interface cannot be one of engine xdp, in the words that a start and `config check --host` share.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/net/abi.h"

namespace lb::model {

// Of all interfaces together: each has a worker, and so has the exception path.
inline constexpr uint32_t kMaxXdpQueues = LB_MAX_WORKERS - 1;
// Of a veth's peer. Other drivers that take no frames in fragments have limits about there.
inline constexpr uint32_t kMaxNativeMtu = 3506;

std::string xdp_interface_down(const std::string& interface);
// queues: receive queues of all interfaces; interface: one of them.
std::string too_many_xdp_queues(uint32_t queues, const std::string& interface);
// What the native mode of an interface with that MTU needs, and that it may be missing.
std::string native_xdp_needs(uint32_t mtu);

}  // namespace lb::model
