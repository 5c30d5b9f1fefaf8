#include "dataplane/stages/pipeline.h"

#include "dataplane/stages/choose.h"
#include "dataplane/stages/hash.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/next_hop.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/recognise.h"
#include "dataplane/stages/rewrite.h"

namespace lb::stages {

void run(Batch& b, const model::Snapshot& snapshot) noexcept {
  recognise(b, snapshot);      // the usual packet -> addresses, ports, offsets, service
  parse(b, snapshot);          // any other -> addresses, ports, offsets; what is not owned is punted
  find_listener(b, snapshot);  // its destination -> service
  hash_flows(b, snapshot);     // tuple -> 64 bits
  choose(b, snapshot);         // hash -> backend, of those that have none
  rewrite(b, snapshot);        // TTL, outer header
  set_next_hop(b, snapshot);   // Ethernet header, egress port
}

}  // namespace lb::stages
