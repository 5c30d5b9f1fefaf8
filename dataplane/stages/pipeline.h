// The way of a packet through lbd, over a batch: the stages in order. Read pipeline.cc first.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

// REQUIRES: b.start(n) was called and data, length, headroom are set for 0..n-1.
// Afterwards every slot has a verdict. Counts nothing: count() does, once the egress queues have answered.
void run(Batch& b, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
