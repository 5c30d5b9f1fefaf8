#include "dataplane/dpdk/buffers.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

namespace lb::dpdk {

static_assert(kHeadroom == RTE_PKTMBUF_HEADROOM);
static_assert(RTE_MEMPOOL_HEADER_SIZE(static_cast<rte_mempool*>(nullptr), 0) > 0);
static_assert(sizeof(rte_mempool_objhdr) + sizeof(rte_mbuf) + kHeadroom + kBufferRoom <= kBufferBytes);

namespace {
constexpr uint32_t kCache = 256;  // buffers a worker keeps at hand: four bursts

// How far others may go on beside an interrupted one: as far as there are buffers, else an eighth of that.
void let_go_on(rte_ring* ring) {
  (void)rte_ring_set_prod_htd_max(ring, rte_ring_get_capacity(ring));
  (void)rte_ring_set_cons_htd_max(ring, rte_ring_get_capacity(ring));
}
}  // namespace

void Buffers::Delete::operator()(rte_mempool* pool) const noexcept {
  rte_mempool_free(pool);
}

net::Result<Buffers> Buffers::create(const std::string& name, uint32_t count, uint16_t room, bool any_thread) {
  Buffers buffers;
  buffers.pool_.reset(
      rte_pktmbuf_pool_create_by_ops(name.c_str(), count, kCache, 0, static_cast<uint16_t>(room + kHeadroom),
                                     static_cast<int>(rte_socket_id()), any_thread ? "ring_mt_rts" : "ring_mp_mc"));
  if (!buffers.pool_)
    return net::Error{net::Code::kUnavailable, fmt::format("no memory for {} packet buffers of {} bytes: {}", count,
                                                           room, rte_strerror(rte_errno))};
  if (any_thread) let_go_on(static_cast<rte_ring*>(buffers.pool_->pool_data));
  return buffers;
}

uint32_t Buffers::in_use() const noexcept {
  return rte_mempool_in_use_count(pool_.get());
}

}  // namespace lb::dpdk
