// Part of stage 1: the flow that an ICMP error is about. A router that cannot deliver what a backend sent to a client
// quotes the head of that packet to its source, the listener's address (RFC 792, RFC 4443): backwards, it is a packet
// of the client's flow.
#pragma once

#include <cstdint>

#include "dataplane/stages/batch.h"

namespace lb::stages {

// m: of an owned ICMP error, src, dst, family, l3, l4, ip_length known. Gives it the addresses, ports and protocol of
// the flow as its client's packets have them; everything else stays the error's.
// RETURNS: false, m unchanged: no TCP or UDP packet from m.dst is quoted, or less than 8 bytes of its L4 header.
// What is quoted may be cut behind these; its TTL, checksum and lengths say nothing: routers change them on the way.
bool read_quote(const uint8_t* frame, Meta& m) noexcept;

}  // namespace lb::stages
