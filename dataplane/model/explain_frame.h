// The frame that stands for a packet asked about, the same for every engine.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/model/engine.h"
#include "dataplane/net/result.h"

namespace lb::model {

// Ethernet to `mac`, IP, a bare TCP SYN, an empty UDP datagram or an echo request, padded with zeros to `size` bytes of
// IP packet.
// ERRORS: kInvalid when source and destination are of two families, or size does not hold the headers.
net::Result<std::vector<uint8_t>> build_frame(const ExplainRequest& request, const std::array<uint8_t, 6>& mac);

// What is in front of the IP packet of a frame that leaves.
struct FrameFront {
  uint32_t bytes = 0;  // Ethernet header and tag; 0: not even that is there
  uint16_t vlan = 0;   // of its tag; 0: untagged
};
FrameFront front_of(std::span<const uint8_t> frame) noexcept;

}  // namespace lb::model
