#include "ctl/forecast.h"

#include <gtest/gtest.h>

#include <random>

namespace lb::ctl {
namespace {

using Table = std::vector<uint16_t>;

TEST(SlotsMoved, CountsSlotsOfEqualSizes) {
  EXPECT_EQ(slots_moved(Table{1, 2, 3, 4}, Table{1, 2, 3, 4}), 0);
  EXPECT_EQ(slots_moved(Table{1, 2, 3, 4}, Table{1, 2, 3, 5}), 0.25);
  EXPECT_EQ(slots_moved(Table{1, 1}, Table{2, 2}), 1);
  EXPECT_EQ(slots_moved(Table{}, Table{1}), 1);
  EXPECT_EQ(slots_moved(Table{}, Table{}), 0);
}

TEST(SlotsMoved, WeighsOverlapsOfDifferentSizes) {
  EXPECT_EQ(slots_moved(Table{1, 2}, Table{1, 1, 2, 2}), 0);
  EXPECT_DOUBLE_EQ(slots_moved(Table{1, 2}, Table{1, 1, 2}), 1.0 / 6);
}

TEST(SlotsMoved, AgreesWithHashingIntoBothTables) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; round++) {
    Table a(251 + random() % 100), b(251 + random() % 100);
    for (auto& slot : a) slot = static_cast<uint16_t>(1 + random() % 3);
    for (auto& slot : b) slot = static_cast<uint16_t>(1 + random() % 3);
    int moved = 0;
    constexpr int kHashes = 40000;
    for (int i = 0; i < kHashes; i++) {
      const uint64_t hash = random() >> 32;
      moved += a[hash * a.size() >> 32] != b[hash * b.size() >> 32];
    }
    EXPECT_NEAR(slots_moved(a, b), static_cast<double>(moved) / kHashes, 0.02);
  }
}

}  // namespace
}  // namespace lb::ctl
