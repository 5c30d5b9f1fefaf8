// Stage 1: what is this packet, and is it ours?
//   in    data, length, port_mac of the batch
//   out   Meta but for service, hash and backend: addresses, ports, protocol, offsets, the owned address
//   drop  bad_ip_header, bad_ip_checksum, bad_extension, bad_source, fragment_tiny, bad_l4_header, icmp_unmatched,
//         icmp_other, no_exception_path; echo_limited: refused, to be answered
//   cost  the first line of the frame and one slot of the address table each for destination and source, prefetched
//         over the batch
// A packet whose destination is no listener's address, or cannot be read, is punted before anything else is judged:
// what is not ours is never refused for its form. docs/packet-path.md has the order of the checks.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

void parse(Batch& b, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
