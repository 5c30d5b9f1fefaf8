#include "dataplane/model/xdp_words.h"

#include <fmt/format.h>

namespace lb::model {

std::string xdp_interface_down(const std::string& interface) {
  return fmt::format("{} is down; bring it up: ip link set dev {} up", interface, interface);
}

std::string too_many_xdp_queues(uint32_t queues, const std::string& interface) {
  return fmt::format(
      "the interfaces have {} receive queues together, {} are possible: give them fewer, such as 'ethtool -L {} "
      "combined 8'",
      queues, kMaxXdpQueues, interface);
}

std::string native_xdp_needs(uint32_t mtu) {
  return fmt::format(
      "native mode needs a driver that has it and frames that fit into a page (the MTU is {}; that of a veth's peer "
      "must not be above {}), and a veth needs as many receive queues as its peer has transmit queues",
      mtu, kMaxNativeMtu);
}

}  // namespace lb::model
