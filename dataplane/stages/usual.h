// Stages 4 to 8 in one go for what most packets are: a usual packet in the middle of a flow that has an entry, to a
// backend that can be sent to. The rules are those of find_flows(), rewrite() and set_next_hop(), which would give the
// same frame (tests/property/usual_test.cc).
//   in    Batch::usual as recognise() left it, with the lines of this very tracker's table
//   out   for those it sends: entry refreshed, data, length, headroom, egress, Verdict::kForward, usual.backend, and
//         the bit in usual.sent; all others are as they were
//   cost  a line of the flow table, which recognise() asked for; the backend's record
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/flow_table.h"

namespace lb::stages {

void send_usual(Batch& b, const model::Snapshot& snapshot, FlowTracker& flows) noexcept;

}  // namespace lb::stages
