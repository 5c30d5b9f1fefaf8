#include "dataplane/dpdk/rx.h"

#include <rte_ethdev.h>
#include <rte_prefetch.h>
#include <rte_ring.h>

#include "dataplane/dpdk/dispatch.h"
#include "dataplane/dpdk/mbuf.h"

namespace lb::dpdk {
namespace {

uint32_t take(const RxQueue& from, Burst& burst) noexcept {
  if (from.ring == nullptr) return rte_eth_rx_burst(from.device, from.queue, burst.data(), stages::kBatch);
  return rte_ring_sc_dequeue_burst(from.ring, reinterpret_cast<void**>(burst.data()), stages::kBatch, nullptr);
}

}  // namespace

uint32_t receive(const RxQueue& from, Burst& burst, stages::Batch& b, Arrival& arrival) noexcept {
  uint32_t n = take(from, burst);
  arrival = {.packets = n, .handed_out = 0, .handoff_full = 0, .bytes = 0};
  if (n == 0) return 0;
  for (uint32_t i = 0; i < n; i++) rte_prefetch0(rte_pktmbuf_mtod(burst[i], void*));
  if (from.handoff != nullptr) n = from.handoff->split(from, burst, n, arrival);
  for (uint32_t i = 0; i < n; i++) {
    show(burst[i], b, i);
    arrival.bytes += b.length[i];
  }
  b.start(n);
  b.ingress = from.port;
  b.port_mac = from.mac;
  b.kernel_copy = from.kernel_copy;
  b.exception_path = from.punts != nullptr;
  return n;
}

}  // namespace lb::dpdk
