// Stages 4 and 6: does this flow have a backend already, and may the next packet find it?
//
// find_flows, before choose
//   in    Meta::hash, service, tcp
//   out   Meta::backend and the bit in Batch::known of flows that are tracked and whose backend still serves; entries
//         are refreshed
//   drop  no_next_hop
//   cost  one line of the table for a hit, prefetched over the batch; a second one for the flows that did not fit into
//         their first line; for misses that are no SYN, two lines of each other table, within a rate
// keep_flows, after choose
//   in    Meta::backend of the flows that were not known
//   out   entries for them
//   cost  two lines, which find_flows brought, and a line of the cold part
//
// The rules are those of docs/flow-table.md; net/flow_bucket.h has them as arithmetic.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/flow_table.h"

namespace lb::stages {

// Before find_flows: the flows that ICMP errors are about, as find_flows finds them but that nothing of them changes:
// an error is no sign of life.
void find_quoted(Batch& b, const model::Snapshot& snapshot, FlowTracker& flows) noexcept;
void find_flows(Batch& b, const model::Snapshot& snapshot, FlowTracker& flows) noexcept;
void keep_flows(Batch& b, const model::Snapshot& snapshot, FlowTracker& flows) noexcept;

// For explain: the flow of slot i as a packet in mid-flow would find it in any of the tables. Sets Meta::backend and
// the bit in Batch::known; changes no table. RETURNS: its class, LB_FLOW_FREE when there is none that counts.
uint32_t peek_flow(Batch& b, Slot i, const model::Snapshot& snapshot, std::span<const FlowTable> tables,
                   uint64_t now_ms) noexcept;

}  // namespace lb::stages
