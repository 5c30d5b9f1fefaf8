// One interface towards lbd: frames out, and of what comes back the tunnelled packets of the flows that last. The
// kernel hashes the tuple to pick the queue, so a flow stays with its worker (PACKET_QDISC_BYPASS would pick it by the
// sender's processor, net/packet/af_packet.c: packet_pick_tx_queue).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/packet/builder.h"

namespace lb::tools {

inline constexpr size_t kBurst = 60;  // frames a call; a multiple of one, two and three

class Link {
 public:
  explicit Link(const std::string& interface);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  const std::string& mac() const { return mac_; }
  // At most kBurst frames; what the interface refuses is tried again.
  void send(std::vector<packet::Bytes>& frames, size_t count);
  // Packets that the interface has received since it was made.
  uint64_t received() const;

  // A tunnelled packet of a flow that lasts: which flow, and the outer destination. RETURNS: how many, at most kBurst.
  struct Heard {
    uint32_t flow, backend;  // backend: address in host order
  };
  size_t hear(Heard (&out)[kBurst]);

 private:
  int out_ = -1, in_ = -1, counter_ = -1;
  std::string mac_;
};

}  // namespace lb::tools
