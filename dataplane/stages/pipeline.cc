#include "dataplane/stages/pipeline.h"

#include "dataplane/stages/choose.h"
#include "dataplane/stages/flow.h"
#include "dataplane/stages/hash.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/next_hop.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/recognise.h"
#include "dataplane/stages/rewrite.h"
#include "dataplane/stages/usual.h"

namespace lb::stages {

void run(Batch& b, const model::Snapshot& snapshot, FlowTracker* flows) noexcept {
  recognise(b, snapshot);      // the usual packet -> addresses, ports, offsets, service
  parse(b, snapshot);          // any other -> addresses, ports, offsets; what is not owned is punted
  find_listener(b, snapshot);  // its destination -> service
  hash_flows(b, snapshot);     // tuple -> 64 bits
  if (flows != nullptr) send_usual(b, snapshot, *flows);  // the usual one of a tracked flow -> all that follows
  complete(b, b.live);                                    // what is left is looked at one by one
  if (flows != nullptr) find_flows(b, snapshot, *flows);  // of a tracked flow -> its backend
  choose(b, snapshot);                                    // of a new one: hash -> backend
  if (flows != nullptr) keep_flows(b, snapshot, *flows);  // tracked from now on
  rewrite(b, snapshot);                                   // TTL, outer header
  set_next_hop(b, snapshot);                              // Ethernet header, egress port
}

uint32_t run_dry(Batch& b, const model::Snapshot& snapshot, std::span<const FlowTable> tables,
                 uint64_t now_ms) noexcept {
  parse(b, snapshot);
  find_listener(b, snapshot);
  hash_flows(b, snapshot);
  const uint32_t tracked = b.live != 0 ? peek_flow(b, 0, snapshot, tables, now_ms) : uint32_t{LB_FLOW_FREE};
  choose(b, snapshot);
  rewrite(b, snapshot);
  set_next_hop(b, snapshot);
  return tracked;
}

}  // namespace lb::stages
