#include "dataplane/dpdk/pieces.h"

#include <algorithm>

#include "dataplane/dpdk/mbuf.h"
#include "dataplane/dpdk/tx.h"
#include "dataplane/stages/split.h"

namespace lb::dpdk {
namespace {

using stages::Slot;

struct Sent {
  uint32_t pieces = 0, bytes = 0;
};

// The next pieces, as many as a burst has and there are buffers for. RETURNS: how many.
uint16_t cut(stages::Split& split, rte_mempool* pool, Burst& out) noexcept {
  uint16_t count = 0;
  for (uint32_t bytes; count < stages::kBatch && (bytes = split.frame_bytes()) != 0; count++) {
    rte_mbuf* const m = rte_pktmbuf_alloc(pool);
    if (m == nullptr) break;
    char* const room = rte_pktmbuf_append(m, static_cast<uint16_t>(bytes));
    if (room == nullptr) {
      rte_pktmbuf_free(m);
      break;
    }
    split.write(reinterpret_cast<uint8_t*>(room));
    out[count] = m;
  }
  return count;
}

// Up to the first piece that finds no room: without it the others are of no use.
Sent send_one(const TxQueue& to, rte_mempool* pool, stages::Split split) noexcept {
  Sent sent;
  while (split.frame_bytes() != 0) {
    Burst out;
    std::array<uint32_t, stages::kBatch> bytes;
    const uint16_t count = cut(split, pool, out);
    for (uint16_t k = 0; k < count; k++) bytes[k] = out[k]->pkt_len;  // the driver may free what it takes at once
    const uint32_t taken = give(to, out.data(), count);
    for (uint32_t k = 0; k < taken; k++) sent.bytes += bytes[k];
    sent.pieces += taken;
    if (taken < count) rte_pktmbuf_free_bulk(out.data() + taken, count - taken);
    if (taken == 0 || taken < count) break;
  }
  return sent;
}

}  // namespace

uint64_t send_pieces(std::span<const TxQueue> to, const Burst& burst, stages::Batch& b, const model::Snapshot& snapshot,
                     uint64_t& pieces) noexcept {
  for (const Slot i : stages::Bits(b.splits)) {
    const uint16_t port = b.egress[i];
    const stages::Split split(b, i, snapshot);
    if (port >= to.size()) {
      b.drop(i, LB_DROP_TxFull);
    } else if (split.frame_bytes() > to[port].largest_frame) {
      b.drop(i, LB_DROP_TooBig);
    } else if (const Sent sent = send_one(to[port], burst[i]->pool, split); sent.pieces == 0) {
      b.drop(i, LB_DROP_TxFull);
    } else {
      b.forward(i, port);
      b.length[i] = static_cast<uint16_t>(std::min<uint32_t>(sent.bytes, UINT16_MAX));
      pieces += sent.pieces;
    }
    rte_pktmbuf_free(burst[i]);
  }
  return b.splits;
}

}  // namespace lb::dpdk
