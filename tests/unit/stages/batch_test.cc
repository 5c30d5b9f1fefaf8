#include "dataplane/stages/batch.h"

#include <gtest/gtest.h>

#include <vector>

namespace lb::stages {
namespace {

TEST(Batch, StartsWithTheFirstNAlive) {
  Batch b{};
  b.start(0);
  EXPECT_EQ(0u, b.live);
  b.start(3);
  EXPECT_EQ(7u, b.live);
  b.start(63);
  EXPECT_EQ(~0ull >> 1, b.live);
  b.start(64);
  EXPECT_EQ(~0ull, b.live);
}

TEST(Batch, VisitsLiveSlotsInOrder) {
  Batch b{};
  b.live = 1ull << 0 | 1ull << 5 | 1ull << 63;
  std::vector<Slot> seen;
  for (Slot i : b.slots()) seen.push_back(i);
  EXPECT_EQ((std::vector<Slot>{0, 5, 63}), seen);
}

TEST(Batch, MayLoseSlotsWhileTheyAreVisited) {
  Batch b{};
  b.start(64);
  uint32_t visits = 0;
  for (Slot i : b.slots()) {
    visits++;
    if (i % 2 == 0) b.drop(i, LB_DROP_FragmentUnmatched);
  }
  EXPECT_EQ(64u, visits);
  EXPECT_EQ(0xaaaaaaaaaaaaaaaaull, b.live);
}

}  // namespace
}  // namespace lb::stages
