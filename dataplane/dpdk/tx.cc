#include "dataplane/dpdk/tx.h"

#include <rte_ethdev.h>
#include <rte_ring.h>

#include "dataplane/dpdk/mbuf.h"

namespace lb::dpdk {
namespace {

using stages::Slot;
using stages::Verdict;

// Slots to one egress port, in order of arrival.
struct Outgoing {
  std::array<rte_mbuf*, stages::kBatch> packets;
  std::array<uint8_t, stages::kBatch> slot;
  uint16_t count = 0;
};

// Of all slots, those without a packet too: mostly they have been sent the same way.
bool all_go_to(uint16_t port, const stages::Batch& b) noexcept {
  uint16_t others = 0;
  for (const uint16_t egress : b.egress) others = static_cast<uint16_t>(others | (egress ^ port));
  return others == 0;
}

uint64_t slots_to(uint16_t port, uint64_t slots, const stages::Batch& b) noexcept {
  if (all_go_to(port, b)) return slots;
  uint64_t others = 0;
  for (const Slot i : stages::Bits(slots)) others |= static_cast<uint64_t>(b.egress[i] != port) << i;
  return slots & ~others;
}

// A frame longer than the driver takes would be lost silently, or run over the driver's buffer.
void gather(uint64_t slots, uint16_t largest_frame, const Burst& burst, stages::Batch& b, Outgoing& out) noexcept {
  for (const Slot i : stages::Bits(slots)) {
    if (b.length[i] > largest_frame) [[unlikely]] {
      b.drop(i, LB_DROP_TooBig);
      continue;
    }
    adopt(burst[i], b, i);
    out.packets[out.count] = burst[i];
    out.slot[out.count] = static_cast<uint8_t>(i);
    out.count++;
  }
}

// RETURNS: the slots whose buffers are the driver's now.
uint64_t send_to(const TxQueue& to, uint64_t slots, const Burst& burst, stages::Batch& b) noexcept {
  Outgoing out;
  gather(slots, to.largest_frame, burst, b, out);
  const uint32_t accepted = give(to, out.packets.data(), out.count);
  uint64_t taken = 0;
  for (uint32_t k = 0; k < accepted; k++) taken |= 1ull << out.slot[k];
  for (uint32_t k = accepted; k < out.count; k++) b.drop(out.slot[k], LB_DROP_TxFull);
  return taken;
}

// The whole burst goes one way, and nothing of it is too long: nothing to sort out.
// RETURNS: false when that is not so.
bool adopt_all(uint16_t largest_frame, const Burst& burst, uint32_t n, const stages::Batch& b) noexcept {
  bool fits = true;
  for (Slot i = 0; i < n; i++) {
    adopt(burst[i], b, i);
    fits &= b.length[i] <= largest_frame;
  }
  return fits;
}

uint64_t send_all(const TxQueue& to, const Burst& burst, uint32_t n, stages::Batch& b) noexcept {
  Burst packets = burst;  // the driver may write here
  const uint32_t accepted = give(to, packets.data(), static_cast<uint16_t>(n));
  for (Slot i = accepted; i < n; i++) b.drop(i, LB_DROP_TxFull);
  return stages::Batch::first_slots(accepted);
}

void free_slots(uint64_t slots, const Burst& burst) noexcept {
  Burst spent;
  uint32_t count = 0;
  for (const Slot i : stages::Bits(slots)) spent[count++] = burst[i];
  if (count > 0) rte_pktmbuf_free_bulk(spent.data(), count);
}

}  // namespace

uint32_t give(const TxQueue& to, rte_mbuf** packets, uint16_t count) noexcept {
  if (to.ring == nullptr) return rte_eth_tx_burst(to.device, to.queue, packets, count);
  return rte_ring_sp_enqueue_burst(to.ring, reinterpret_cast<void**>(packets), count, nullptr);
}

void send(std::span<const TxQueue> to, const Burst& burst, uint32_t n, stages::Batch& b, uint64_t given) noexcept {
  const uint64_t all = stages::Batch::first_slots(n);
  uint64_t left = b.slots_with(Verdict::kForward, n) & ~given;
  if (b.refused != 0) left |= b.slots_with(Verdict::kAnswer, n);
  uint64_t taken = given;
  while (left != 0) {
    const uint16_t port = b.egress[static_cast<Slot>(__builtin_ctzll(left))];
    const uint64_t slots = slots_to(port, left, b);
    left &= ~slots;
    if (port >= to.size()) {  // a snapshot of another set of ports
      for (const Slot i : stages::Bits(slots)) b.drop(i, LB_DROP_TxFull);
    } else if (slots == all && adopt_all(to[port].largest_frame, burst, n, b)) {
      taken |= send_all(to[port], burst, n, b);
    } else {
      taken |= send_to(to[port], slots, burst, b);
    }
  }
  free_slots(all & ~taken, burst);
}

void flush(std::span<const TxQueue> to) noexcept {
  for (const TxQueue& q : to)
    if (q.ring == nullptr) (void)rte_eth_tx_burst(q.device, q.queue, nullptr, 0);
}

}  // namespace lb::dpdk
