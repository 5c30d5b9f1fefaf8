// The packet buffers of an engine: one pool for all ports, so that a packet that came in by one port leaves by another
// without a copy; ports whose frames are too large for it have a second pool of larger buffers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/host/sizes.h"
#include "dataplane/net/result.h"

struct rte_mempool;

namespace lb::dpdk {

using host::kAfXdpFrame;
using host::kBufferBytes;
using host::kBufferRoom;

inline constexpr uint16_t kHeadroom = 128;  // RTE_PKTMBUF_HEADROOM; the longest outer header is 40

class Buffers {
 public:
  // room: bytes of the largest frame. any_thread: others than workers take and give back, who may be interrupted while
  // they do; no worker waits for them. ERRORS: kUnavailable when there is not enough memory.
  static net::Result<Buffers> create(const std::string& name, uint32_t count, uint16_t room, bool any_thread = false);

  rte_mempool* pool() const noexcept { return pool_.get(); }
  uint32_t in_use() const noexcept;  // by drivers and workers; a walk over all caches

 private:
  struct Delete {
    void operator()(rte_mempool* pool) const noexcept;
  };
  std::unique_ptr<rte_mempool, Delete> pool_;
};

}  // namespace lb::dpdk
