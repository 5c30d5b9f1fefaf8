// Frames of 64 bytes, one flow after the other in random order, or each a flow that never was: written into a buffer
// at the price of a copy and a checksum, which is the same for every kind of sample.
//   IPv4   TCP, 10 bytes of Ethernet padding: SYN for new flows, else ACK
//   IPv6   UDP of 62 bytes, 2 of padding: TCP would not fit
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/net/hash.h"

namespace lb::bench {

inline constexpr uint16_t kFrame = 64;
inline constexpr std::array<uint8_t, 6> kMac = {2, 0, 0, 0, 0, 1};

struct TrafficOptions {
  uint8_t family = 4;
  uint32_t services = 1;
  uint32_t flows = 1;  // in random order; 0: every packet the next of `first`, `first` + 1, ...
  uint32_t first = 0;  // number of the first flow
  bool syn = false;    // of TCP
};

class Traffic {
 public:
  explicit Traffic(const TrafficOptions& o) noexcept;

  void write(uint8_t* frame) noexcept {
    const uint32_t flow = next_flow();
    const uint32_t service = scale(flow * 0x9e3779b1u, services_);
    std::memcpy(frame, template_.data(), kFrame);
    const uint32_t src = lb_htonl(0x10000000u | (flow & 0x0fffffffu));
    const auto sport = lb_htons(static_cast<uint16_t>(1024 + (flow >> 28)));
    if (family_ == 4)
      write_ipv4(frame + 14, src, service, sport);
    else
      write_ipv6(frame + 14, src, service, sport);
  }
  uint32_t next() const noexcept { return flow_; }

 private:
  static uint32_t scale(uint32_t random, uint32_t below) noexcept {
    return static_cast<uint32_t>(uint64_t{random} * below >> 32);
  }
  uint32_t next_flow() noexcept {
    if (flows_ == 0) return flow_++;
    random_ = random_ * 6364136223846793005ull + 1442695040888963407ull;
    return flow_ + scale(static_cast<uint32_t>(random_ >> 32), flows_);
  }
  void write_ipv4(uint8_t* ip, uint32_t src, uint32_t service, lb_be16 sport) const noexcept {
    const uint32_t dst = lb_htonl(first_service_ + service);
    const lb_be16 csum = static_cast<lb_be16>(~lb_csum_fold64(sum_ + src + dst));
    std::memcpy(ip + 10, &csum, 2);
    std::memcpy(ip + 12, &src, 4);
    std::memcpy(ip + 16, &dst, 4);
    std::memcpy(ip + 20, &sport, 2);
  }
  static void write_ipv6(uint8_t* ip, uint32_t src, uint32_t service, lb_be16 sport) noexcept {
    const lb_be32 dst = lb_htonl(service);
    std::memcpy(ip + 20, &src, 4);
    std::memcpy(ip + 36, &dst, 4);
    std::memcpy(ip + 40, &sport, 2);
  }

  alignas(64) std::array<uint8_t, kFrame> template_{};
  uint64_t random_ = 88172645463325252ull;
  uint64_t sum_ = 0;  // of the IPv4 header without addresses and checksum
  uint32_t flow_, flows_, services_, first_service_;
  uint8_t family_;
};

}  // namespace lb::bench
