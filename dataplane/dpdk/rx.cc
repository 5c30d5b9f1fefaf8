#include "dataplane/dpdk/rx.h"

#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include "dataplane/dpdk/mbuf.h"

namespace lb::dpdk {

uint32_t receive(const RxQueue& from, Burst& burst, stages::Batch& b, uint64_t& bytes) noexcept {
  const uint32_t n = rte_eth_rx_burst(from.device, from.queue, burst.data(), stages::kBatch);
  bytes = 0;
  if (n == 0) return 0;
  for (uint32_t i = 0; i < n; i++) rte_prefetch0(rte_pktmbuf_mtod(burst[i], void*));
  for (uint32_t i = 0; i < n; i++) {
    show(burst[i], b, i);
    bytes += b.length[i];
  }
  b.start(n);
  b.port_mac = from.mac;
  b.kernel_copy = from.kernel_copy;
  return n;
}

}  // namespace lb::dpdk
