// Distinct integer types for things that must not be mixed up. 0 is "none" only for BackendId.
#pragma once

#include <cstdint>
#include <type_traits>

namespace lb::net {

enum class BackendId : uint16_t {};     // 1..65535, index into Snapshot::backends; 0 = none
enum class ServiceIndex : uint32_t {};  // index into Snapshot::services, stable while the service exists
enum class PortId : uint16_t {};        // index into the configured ports (not DPDK's port number)
enum class WorkerId : uint16_t {};      // 0..n-1, in the order of daemon.dpdk.workers
enum class Generation : uint64_t {};    // number of a compiled snapshot, from 1

inline constexpr BackendId kNoBackend{0};

template <class E>
constexpr auto raw(E e) noexcept {
  return static_cast<std::underlying_type_t<E>>(e);
}

enum class IpProto : uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58 };
enum class Family : uint8_t { kIpv4 = 4, kIpv6 = 6 };

}  // namespace lb::net
