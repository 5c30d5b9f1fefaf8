#include "dataplane/stages/answer_limit.h"

#include <gtest/gtest.h>

#include <memory>

namespace lb::stages {
namespace {

class Limit : public testing::Test {
 protected:
  uint64_t given(uint64_t source, uint64_t asked) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < asked; i++) n += budget_->take(source, now_ms_);
    return n;
  }

  std::unique_ptr<AnswerBudget> budget_ = std::make_unique<AnswerBudget>();
  uint64_t now_ms_ = 5'000'000;
};

TEST_F(Limit, GivesASourceItsBurstThenTenASecond) {
  EXPECT_EQ(20u, given(1, 100));
  EXPECT_EQ(20u, given(2, 100));
  now_ms_ += 99;
  EXPECT_EQ(0u, given(1, 100));
  now_ms_ += 1;
  EXPECT_EQ(1u, given(1, 100));
  now_ms_ += 1000;
  EXPECT_EQ(10u, given(1, 100));
  now_ms_ += 3'600'000;
  EXPECT_EQ(20u, given(1, 100));
}

TEST_F(Limit, WorksFromTheFirstMillisecond) {
  now_ms_ = 0;
  EXPECT_EQ(20u, given(1, 100));
  EXPECT_EQ(20u, given(0, 100)) << "a hash that says nothing";
}

TEST_F(Limit, GivesAllTogetherTenThousandASecond) {
  uint64_t n = 0;
  const auto second = [&] {
    for (uint64_t ms = 0; ms < 1000; ms++) {
      now_ms_++;
      for (uint64_t k = 0; k < 50; k++) n += budget_->take((now_ms_ * 50 + k) * 0x9e3779b97f4a7c15ull, now_ms_);
    }
  };
  second();  // the burst, too
  n = 0;
  second();
  EXPECT_EQ(10'000u, n);
}

TEST_F(Limit, TakesNothingFromASourceForWhatTheTotalAte) {
  while (budget_->take_from_total(now_ms_)) {
  }
  EXPECT_EQ(0u, given(1, 100));
  now_ms_ += 100;
  EXPECT_EQ(20u, given(1, 100));
}

TEST_F(Limit, TakesNothingFromTheTotalForWhatASourceAte) {
  EXPECT_EQ(20u, given(1, 100'000));
  uint64_t left = 0;
  while (budget_->take_from_total(now_ms_)) left++;
  EXPECT_EQ(kTotalBurst - 20, left);
}

// Five in one place of four: the one that has used least is forgotten.
TEST_F(Limit, ForgetsTheOneThatHasUsedLeast) {
  const auto same_place = [](uint64_t n) { return (n + 1) * 512; };
  EXPECT_EQ(20u, given(same_place(0), 100));
  EXPECT_EQ(1u, given(same_place(1), 1));
  for (uint64_t n = 2; n < 4; n++) EXPECT_EQ(20u, given(same_place(n), 100));
  EXPECT_EQ(20u, given(same_place(4), 100));
  EXPECT_EQ(0u, given(same_place(0), 100)) << "still known";
  EXPECT_EQ(20u, given(same_place(1), 100)) << "forgotten";
}

}  // namespace
}  // namespace lb::stages
