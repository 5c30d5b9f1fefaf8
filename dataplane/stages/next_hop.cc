#include "dataplane/stages/next_hop.h"

#include <cstring>

#include "dataplane/net/headers.h"
#include "dataplane/net/outer.h"

namespace lb::stages {

void set_next_hop(Batch& b, const model::Snapshot& snapshot) noexcept {
  const lb_backend* const backends = snapshot.backends.data();
  const uint64_t live = b.live;
  for (Slot i : Bits(live)) {
    const lb_backend& backend = backends[b.meta[i].backend];
    uint8_t* const frame = b.data[i] + lb_tag_bytes(&backend);
    const uint16_t type = frame[sizeof(lb_eth)] >> 4 == 4 ? LB_ETH_IPV4 : LB_ETH_IPV6;  // of the outermost header
    std::memcpy(frame, backend.head, 12);
    const lb_be16 wire = lb_htons(type);
    std::memcpy(frame + 12, &wire, 2);
    if (backend.vlan != 0) lb_push_tag(frame, backend.vlan);
    b.verdict[i] = Verdict::kForward;
    b.egress[i] = backend.port;
  }
  b.live = 0;
}

}  // namespace lb::stages
