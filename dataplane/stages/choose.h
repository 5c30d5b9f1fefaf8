// Stage 3: which backend gets this packet?
//   in    Meta::service, addresses, ports
//   out   Meta::hash, Meta::backend
//   drop  no_backend
//   cost  one SipHash-1-3 of 2 (IPv4) or 5 (IPv6) words and one line of the service's table, prefetched over the batch
// The same tuple, key and set of backends give the same backend on every worker, node and engine. A table holds only
// backends whose next hop is resolved (the compiler of the snapshot sees to it), so that what is chosen can be sent.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

void choose(Batch& b, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
