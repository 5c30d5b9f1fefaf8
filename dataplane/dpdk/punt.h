// The worker's end of the exception path: punted packets into rings, by class, from which the exception thread writes
// them to the port's twin. No system call, lock or copy.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/dpdk/dispatch_rings.h"
#include "dataplane/dpdk/rx.h"
#include "dataplane/net/result.h"
#include "dataplane/stages/batch.h"

struct rte_ring;

namespace lb::dpdk {

// Each has a ring of its own, so that a flood of one does not keep the others from the kernel; the first comes first.
enum class PuntClass : uint8_t {
  kLink,  // ARP, neighbour discovery, BFD from next door (hop limit 255), LACP, LLDP: nobody beyond the link sends it
  kRouting,  // BGP, OSPF, BFD, VRRP and CARP
  kOther,
};
inline constexpr size_t kPuntClasses = 3;

// Many workers put in, the exception thread takes out.
struct PuntRings {
  std::array<rte_ring*, kPuntClasses> ring{};
};

// For `size` - 1 packets. A worker that is interrupted while it puts something in holds up no other, however much the
// others put in meanwhile. ERRORS: kUnavailable (memory).
net::Result<Ring> make_punt_ring(uint32_t size);

PuntClass punt_class(const uint8_t* frame, uint32_t length) noexcept;

// Puts the punted slots of 0..n-1 into the rings; what does not fit becomes drop(ExceptionFull).
// RETURNS: the slots whose buffers are the exception thread's now.
uint64_t hand_up(const PuntRings& to, const Burst& burst, uint32_t n, stages::Batch& b) noexcept;

}  // namespace lb::dpdk
