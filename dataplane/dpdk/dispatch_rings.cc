#include "dataplane/dpdk/dispatch_rings.h"

#include <atomic>
#include <utility>

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

namespace lb::dpdk {

void RingDelete::operator()(rte_ring* ring) const noexcept {
  void* packet = nullptr;
  while (rte_ring_sc_dequeue(ring, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
  rte_ring_free(ring);
}

net::Result<Ring> make_ring() {
  static std::atomic<uint32_t> rings = 0;  // names of rings are the process's
  const std::string name = fmt::format("lbd_dispatch_{}", rings++);
  Ring ring(rte_ring_create(name.c_str(), kRing, static_cast<int>(rte_socket_id()), RING_F_SP_ENQ | RING_F_SC_DEQ));
  if (!ring)
    return net::Error{net::Code::kUnavailable, fmt::format("no memory for a ring of {} packets between two workers: {}",
                                                           kRing, rte_strerror(rte_errno))};
  return ring;
}

net::Result<DispatchRings> DispatchRings::make(const std::vector<RxQueue>& rx, const std::vector<TxQueue>& tx,
                                               uint32_t workers, bool software, const SpreadKey& key) {
  DispatchRings d;
  d.ends_.resize(workers);
  if (software) d.software_key_ = key;
  for (uint32_t q = 0; q < rx.size(); q++) {
    const uint32_t poller = q % workers;
    if (!software) {
      d.ends_[poller].rx.push_back(rx[q]);
    } else if (net::Status made = d.spread(rx[q], poller, key); !made) {
      return made.error();
    }
  }
  for (uint32_t w = 0; w < workers; w++) {
    const auto owner = static_cast<uint32_t>(w % tx.size());
    d.ends_[w].tx = tx[owner];
    if (owner == w) continue;
    const auto ring = d.add_ring();
    if (!ring) return ring.error();
    d.ends_[w].tx.ring = *ring;
    d.ends_[owner].relays.push_back({*ring, tx[owner]});
  }
  return d;
}

std::optional<uint32_t> DispatchRings::worker_of(std::span<const uint8_t> frame,
                                                 const std::array<uint8_t, 6>& mac) const {
  if (!software_key_) return std::nullopt;
  const uint32_t worker = dpdk::worker_of(frame.data(), static_cast<uint32_t>(frame.size()), mac, *software_key_,
                                          static_cast<uint32_t>(ends_.size()));
  if (worker == kNoWorker) return std::nullopt;
  return worker;
}

net::Status DispatchRings::spread(RxQueue queue, uint32_t poller, const SpreadKey& key) {
  std::vector<rte_ring*> to(ends_.size());
  for (uint32_t w = 0; w < ends_.size(); w++) {
    if (w == poller) continue;
    const auto ring = add_ring();
    if (!ring) return ring.error();
    to[w] = *ring;
    RxQueue end = queue;
    end.ring = *ring;
    ends_[w].rx.push_back(end);
  }
  handoffs_.push_back(std::make_unique<Handoff>(poller, key, std::move(to)));
  queue.handoff = handoffs_.back().get();
  ends_[poller].rx.push_back(queue);
  return {};
}

net::Result<rte_ring*> DispatchRings::add_ring() {
  auto ring = make_ring();
  if (!ring) return ring.error();
  rings_.push_back(std::move(*ring));
  return rings_.back().get();
}

}  // namespace lb::dpdk
