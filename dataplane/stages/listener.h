// Stage 2: which service is this packet for?
//   in    Meta::dst, dport, proto, address
//   out   Meta::service
//   drop  no_listener: refused where the address's services say `on-no-listener: reject`; no_exception_path where it is
//         the kernel's to answer
//   cost  one slot of the listener table, prefetched over the batch; packets without an exact listener also read the
//         ranges of their address, one after the other
// Exact port first, then port range, then any port, also across services.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

void find_listener(Batch& b, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
