#include "dataplane/stages/next_hop.h"

#include <cstring>

#include "dataplane/net/headers.h"

namespace lb::stages {

void set_next_hop(Batch& b, const model::Snapshot& snapshot) noexcept {
  for (Slot i : b.slots()) {
    const lb_backend& backend = snapshot.backends[b.meta[i].backend];
    auto* h = reinterpret_cast<lb_eth*>(b.data[i]);
    const uint8_t version = b.data[i][sizeof(lb_eth)] >> 4;  // of the outermost IP header
    std::memcpy(h->dst, backend.dst_mac, 6);
    std::memcpy(h->src, backend.src_mac, 6);
    h->type = lb_htons(version == 4 ? LB_ETH_IPV4 : LB_ETH_IPV6);
    b.forward(i, backend.port);
  }
}

}  // namespace lb::stages
