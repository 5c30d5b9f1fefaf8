// Sizes of buffers and rings of the DPDK engine: what it makes, and what it needs of memory, said before it starts.
#pragma once

#include <array>
#include <cstdint>

namespace lb::host {

// Bytes of a buffer behind the headroom. 3,584: with headers, headroom and what XDP reserves it stays below the 4 KB
// that an AF_XDP chunk may have.
inline constexpr uint16_t kBufferRoom = 3584;
// Largest frame that AF_XDP delivers into such a buffer: the room less the 256 bytes in front that XDP keeps.
inline constexpr uint16_t kAfXdpFrame = kBufferRoom - 256;
inline constexpr uint32_t kBufferBytes = 4096;  // of memory for one buffer, headers included

// Packets that a ring between two workers, or from a twin to a worker, holds: what comes in a millisecond, the longest
// idle sleep, at 1 M packets/s.
inline constexpr uint32_t kRing = 1024;
// Rings from the workers up to a twin, by class of what is punted. The kernel's own queues behind a TAP hold as much.
inline constexpr std::array<uint32_t, 3> kUpRings = {256, 256, 1024};
inline constexpr uint32_t kTwinBurst = 32;  // empty buffers that a twin has at hand

// Buffers that a twin's rings and itself hold at most.
constexpr uint32_t twin_buffers() {
  uint32_t count = kRing + kTwinBurst;
  for (const uint32_t size : kUpRings) count += size;
  return count;
}

}  // namespace lb::host
