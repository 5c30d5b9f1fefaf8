// The way of a packet through lbd, over a batch: the stages in order. Read pipeline.cc first.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/answer.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/flow_table.h"
#include "dataplane/stages/fragments.h"

namespace lb::stages {

// What a worker has of its own besides counters. Whoever runs the stages tells all of them the time before a batch.
struct Belongings {
  FlowTracker* flows = nullptr;    // null: no tracking, every packet is chosen by its hash
  Fragments* fragments = nullptr;  // null: of fragments only the first ones find their way
  Answers* answers = nullptr;      // null: nothing is answered
};

// REQUIRES: b.start(n) was called and data, length, headroom are set for 0..n-1.
// Afterwards every slot has a verdict. Counts nothing but what tables did: count() does, once the egress queues have
// answered.
void run(Batch& b, const model::Snapshot& snapshot, const Belongings& own) noexcept;
inline void run(Batch& b, const model::Snapshot& snapshot, FlowTracker* flows = nullptr) noexcept {
  run(b, snapshot, Belongings{.flows = flows, .fragments = nullptr, .answers = nullptr});
}

// The same for one packet of explain(): as one in mid-flow when its flow is in any of the tables, and no table changes.
// RETURNS: the flow's class, LB_FLOW_FREE when it is not tracked.
uint32_t run_dry(Batch& b, const model::Snapshot& snapshot, std::span<const FlowTable> tables, uint64_t now_ms,
                 Answers* answers) noexcept;

}  // namespace lb::stages
