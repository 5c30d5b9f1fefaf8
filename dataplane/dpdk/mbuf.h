// DPDK's packet buffer <-> a slot of a Batch: pointer, length and room in front on the way in; where the frame begins
// and ends on the way out, written once, after the stages.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/stages/batch.h"

namespace lb::dpdk {

// A frame in several segments (no driver here makes them, unless asked) is joined; when that has no room only its first
// segment is shown: what is owned then ends as bad_ip_header, what is not is the kernel's anyway.
inline void show(rte_mbuf* m, stages::Batch& b, stages::Slot i) noexcept {
  if (m->nb_segs > 1) [[unlikely]]
    (void)rte_pktmbuf_linearize(m);
  b.data[i] = rte_pktmbuf_mtod(m, uint8_t*);
  b.length[i] = m->data_len;
  b.headroom[i] = rte_pktmbuf_headroom(m);
}

// The frame as the stages left it, ready to be sent.
inline void adopt(rte_mbuf* m, const stages::Batch& b, stages::Slot i) noexcept {
  m->data_off = static_cast<uint16_t>(b.data[i] - static_cast<uint8_t*>(m->buf_addr));
  m->data_len = b.length[i];
  m->pkt_len = b.length[i];
  m->ol_flags = 0;  // what the driver told of the frame that came in (a VLAN tag, a checksum) is no order to send
}

}  // namespace lb::dpdk
