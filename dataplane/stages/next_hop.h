// Stage 5: the frame for the wire.
//   in    Meta::backend; data with room for an Ethernet header and the backend's tag, if it has one, then an IP packet
//   out   Ethernet header, egress port, Verdict::kForward
//   drop  none: a backend in a table has a next hop
//   cost  the backend's record, at hand since rewrite
// Frames leave from the MAC of the egress interface to that of the neighbour which the kernel's routes name; in the
// VLAN that they name, whatever tags they came with.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

void set_next_hop(Batch& b, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
