// The packet buffers of an engine: one pool for all ports, so that a packet that came in by one port leaves by another
// without a copy; ports whose frames are too large for it have a second pool of larger buffers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/net/result.h"

struct rte_mempool;

namespace lb::dpdk {

// Bytes of a buffer behind the headroom. 3,584: with headers, headroom and what XDP reserves it stays below the 4 KB
// that an AF_XDP chunk may have.
inline constexpr uint16_t kBufferRoom = 3584;
// Largest frame that AF_XDP delivers into such a buffer: the room less the 256 bytes in front that XDP keeps.
inline constexpr uint16_t kAfXdpFrame = kBufferRoom - 256;
inline constexpr uint16_t kHeadroom = 128;      // RTE_PKTMBUF_HEADROOM; the longest outer header is 40
inline constexpr uint32_t kBufferBytes = 4096;  // of memory for one buffer, headers included

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
