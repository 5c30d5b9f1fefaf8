#include "dataplane/stages/pipeline.h"

#include "dataplane/stages/answer.h"
#include "dataplane/stages/choose.h"
#include "dataplane/stages/flow.h"
#include "dataplane/stages/fragment.h"
#include "dataplane/stages/hash.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/next_hop.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/recognise.h"
#include "dataplane/stages/rewrite.h"
#include "dataplane/stages/usual.h"

namespace lb::stages {

void run(Batch& b, const model::Snapshot& snapshot, const Belongings& own) noexcept {
  FlowTracker* const flows = own.flows;
  recognise(b, snapshot, flows != nullptr ? &flows->own() : nullptr);  // the usual packet -> all of the next four
  parse(b, snapshot);                        // any other -> addresses, ports, offsets; what is not owned is punted
  follow_first(b, snapshot, own.fragments);  // a fragment -> the ports of its datagram
  find_listener(b, snapshot);                // its destination -> service
  hash_flows(b, snapshot);                   // tuple -> 64 bits
  if (flows != nullptr) send_usual(b, snapshot, *flows);   // the usual one of a tracked flow -> all that follows
  complete(b, b.live);                                     // what is left is looked at one by one
  if (flows != nullptr) find_quoted(b, snapshot, *flows);  // an ICMP error -> the backend of the flow it is about
  if (flows != nullptr) find_flows(b, snapshot, *flows);   // of a tracked flow -> its backend
  choose(b, snapshot);                                     // of a new one: hash -> backend
  if (flows != nullptr) keep_flows(b, snapshot, *flows);   // tracked from now on
  rewrite(b, snapshot);                                    // TTL, outer header
  set_next_hop(b, snapshot);                               // Ethernet header, egress port
  if (b.refused != 0) answer(b, snapshot, own.answers);    // what cannot go on -> echo reply, ICMP error, reset
}

uint32_t run_dry(Batch& b, const model::Snapshot& snapshot, std::span<const FlowTable> tables, uint64_t now_ms,
                 Answers* answers) noexcept {
  parse(b, snapshot);
  find_listener(b, snapshot);
  hash_flows(b, snapshot);
  const uint32_t tracked = b.live != 0 ? peek_flow(b, 0, snapshot, tables, now_ms) : uint32_t{LB_FLOW_FREE};
  choose(b, snapshot);
  rewrite(b, snapshot);
  set_next_hop(b, snapshot);
  if (b.refused != 0) answer(b, snapshot, answers);
  return tracked;
}

}  // namespace lb::stages
