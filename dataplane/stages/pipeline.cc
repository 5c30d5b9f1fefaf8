#include "dataplane/stages/pipeline.h"

#include "dataplane/stages/choose.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/next_hop.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/rewrite.h"

namespace lb::stages {

// Connection tracking belongs between find_listener and choose: a tracked flow would keep its backend, a new one would
// be chosen. There is none: every packet is chosen by its hash.
void run(Batch& b, const model::Snapshot& snapshot) noexcept {
  parse(b, snapshot);          // bytes -> addresses, ports, offsets; what is not owned is punted
  find_listener(b, snapshot);  // destination -> service
  choose(b, snapshot);         // tuple -> backend
  rewrite(b, snapshot);        // TTL, outer header
  set_next_hop(b, snapshot);   // Ethernet header, egress port
}

}  // namespace lb::stages
