// A seed that a failing run prints and LBD_SEED brings back.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace lb::property {

inline uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("LBD_SEED");
    const uint64_t s = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::cout << "LBD_SEED=" << s << std::endl;
    return s;
  }();
  return value;
}

class Random {
 public:
  explicit Random(uint64_t round) : engine_(seed() * 1000003 + round) {}
  uint64_t bits() { return engine_(); }
  // 0..n-1
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(engine_() % n); }
  bool chance(uint32_t percent) { return below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace lb::property
