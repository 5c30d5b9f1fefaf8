// Stage 3: the tuple as one keyed 64-bit number.
//   in    addresses, ports, protocol; usual packets have their hash from recognise()
//   out   Meta::hash: flow hash over the full tuple, whatever the service's schedule
//   cost  SipHash-1-3, eight tuples of a family at once with AVX2
// What it serves: the places in the flow table, the slot of the Maglev table, the entropy of tunnels.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

void hash_flows(Batch& b, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
