// Datagrams cut into fragments as a sender or router does it, and put together again as a receiver does. Shares no code
// with the datapath.
#pragma once

#include <optional>

#include "tests/packet/builder.h"

namespace lb::packet {

// A frame (untagged, IPv4 without options or IPv6 without extension headers) into fragments that begin at these offsets
// in units of 8 bytes, rising, the first 0.
std::vector<Bytes> cut_at(const Bytes& frame, const std::vector<size_t>& offsets, uint32_t id);
// The same into pieces of that many units each.
std::vector<Bytes> cut_every(const Bytes& frame, size_t units, uint32_t id);
// Units of the IP payload.
size_t units_of(const Bytes& frame);

// IPv4 packets (without Ethernet) of one datagram, in any order. RETURNS: the datagram, with the first one's header but
// for fragment fields and checksum, which are 0; none when something is missing, overlaps, or a checksum is wrong.
std::optional<Bytes> put_together(const std::vector<Bytes>& packets);

}  // namespace lb::packet
