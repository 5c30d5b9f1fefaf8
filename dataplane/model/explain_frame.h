// The frame that stands for a packet asked about, the same for every engine.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/model/engine.h"
#include "dataplane/net/result.h"

namespace lb::model {

// Ethernet to `mac`, IP, a bare TCP SYN, an empty UDP datagram or an echo request, padded with zeros to `size` bytes of
// IP packet.
// ERRORS: kInvalid when source and destination are of two families, or size does not hold the headers.
net::Result<std::vector<uint8_t>> build_frame(const ExplainRequest& request, const std::array<uint8_t, 6>& mac);

}  // namespace lb::model
