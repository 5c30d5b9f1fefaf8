// Stage 2: which service is this packet for?
//   in    Meta::dst, dport, proto, address
//   out   Meta::service
//   drop  no_listener; no_exception_path when the kernel has the address on an interface and would answer itself
//   cost  one slot of the listener table, prefetched over the batch; packets without an exact listener also read the
//         ranges of their address, one after the other
// Exact port first, then port range, then any port, also across services.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

void find_listener(Batch& b, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
