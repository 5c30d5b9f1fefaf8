// Frames for a duel that are no whole packets of a flow: fragments in any order, overlapping and lost ones; ICMP errors
// about flows that go on; echo requests; ports that nobody listens on.
#pragma once

#include <random>
#include <vector>

#include "tests/packet/builder.h"

namespace lb::conformance {

class EdgeFrames {
 public:
  // Of `clients` clients with `ports` ports each, as those of Events.
  EdgeFrames(std::mt19937_64& random, uint64_t clients, uint64_t ports)
      : random_(random), clients_(clients), ports_(ports) {}
  packet::Bytes next();

 private:
  struct To {
    const char *ipv4, *ipv6;
    uint16_t port;
    bool udp;
  };
  struct Flow {
    To to;
    bool ipv6;
    std::string client, vip;
    uint16_t sport;
  };
  Flow flow();
  packet::Packet front();
  packet::Bytes fragment();
  void cut_datagram();
  packet::Packet one_of(const Flow& f, uint32_t id, size_t start, const packet::Bytes& bytes, bool more);
  packet::Bytes error();
  packet::Bytes echo();
  packet::Bytes to_closed_port();

  std::mt19937_64& random_;
  uint64_t clients_, ports_;
  std::vector<packet::Bytes> fragments_;  // cut and not sent yet, of a few datagrams
};

}  // namespace lb::conformance
