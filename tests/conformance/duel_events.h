// What happens in a duel: configurations that follow each other, and frames that a client, or somebody worse, sends.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "tests/conformance/duel.h"
#include "tests/conformance/edge_frames.h"

namespace lb::conformance {

// The world edge(), and what operators and networks make of it: drains, removals, other weights, pools and modes, next
// hops that are lost, small MTUs, fewer services.
std::vector<std::shared_ptr<const model::Snapshot>> changing_worlds();

class Events {
 public:
  Events(uint64_t seed, size_t worlds, bool is_calm);
  Event next();

 private:
  packet::Packet headers(bool ipv6, const char* to);
  packet::Bytes flow_frame();
  packet::Bytes next_frame();

  static constexpr uint64_t kClients = 3, kCalmPorts = 4, kPorts = 40;

  std::mt19937_64 random_;
  size_t worlds_;
  bool is_calm_;  // mostly flows that go on; else mostly noise
  std::vector<packet::Bytes> forwarded_, all_;
  EdgeFrames edge_frames_;
};

}  // namespace lb::conformance
