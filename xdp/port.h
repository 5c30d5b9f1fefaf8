// An interface as the engine needs to know it, by ioctl on a plain datagram socket (nothing is sent by it) and from
// /proc, which shows the namespace of the caller whatever is mounted. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

namespace lb::xdp {

struct InterfaceFacts {
  unsigned index = 0;  // the kernel's number
  net::Mac mac;
  uint16_t mtu = 0;
  uint32_t queues = 1;         // receive queues
  bool counts_queues = false;  // false: the driver does not tell how many there are
  bool up = false;             // administratively
  bool link_up = false;        // with carrier
  std::string driver;          // veth, virtio_net, ...; empty: it does not tell
};

// ERRORS: kNotFound, kUnsupported (no Ethernet), kPermission, kIo.
net::Result<InterfaceFacts> query_interface(const std::string& name);

struct InterfaceCounts {
  uint64_t rx_packets = 0, rx_bytes = 0, rx_lost = 0, tx_packets = 0, tx_bytes = 0, tx_lost = 0;
};
// Zeros when there is no such interface.
InterfaceCounts count_interface(const std::string& name);
// The same from the text of /proc/net/dev.
InterfaceCounts read_counts(std::string_view text, std::string_view name);

}  // namespace lb::xdp
