// How many answers a worker gives: to each source so many, to all together so many (RFC 1812 section 4.3.2.8, RFC 4443
// section 2.4 (f)). Each budget is one number that says when its next answer would be on time (the generic cell rate
// algorithm, ITU-T I.371): no timers, no refilling.
//
// Sources: IPv4 addresses, IPv6 /64s, by a keyed hash. There is room for 2,048 of each budget; of four in one place the
// one that has used least gives way, and starts with a whole burst when it comes again: only the total stands then.
//
// Belongs to one worker; no lock, no allocation.
#pragma once

#include <array>
#include <cstdint>

namespace lb::stages {

inline constexpr uint64_t kSourceEveryMs = 100, kSourceBurst = 20;  // 10 a second
inline constexpr uint64_t kTotalEveryUs = 100, kTotalBurst = 1000;  // 10,000 a second

class AnswerBudget {
 public:
  // Whether one more may be given now; counts it. source: hash.
  bool take(uint64_t source, uint64_t now_ms) noexcept;
  bool take_from_total(uint64_t now_ms) noexcept;

 private:
  struct Source {
    uint64_t hash = 0;
    uint64_t due_ms = 0;
  };
  struct alignas(64) Place {
    std::array<Source, 4> sources;
  };
  Source& source_of(uint64_t hash) noexcept;

  std::array<Place, 512> places_{};
  uint64_t total_due_us_ = 0;
};

}  // namespace lb::stages
