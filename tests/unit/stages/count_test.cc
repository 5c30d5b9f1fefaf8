#include "dataplane/stages/count.h"

#include <gtest/gtest.h>

namespace lb::stages {
namespace {

uint64_t sum_of_verdicts(const WorkerState& w) {
  uint64_t sum = w.counters[LB_COUNT_Forwarded] + w.counters[LB_COUNT_Punted];
  for (size_t d = LB_DROP_FIRST; d <= LB_DROP_LAST; d++) sum += w.counters[d];
  return sum;
}

TEST(Count, PutsEveryPacketUnderOneVerdict) {
  auto b = std::make_unique<Batch>();
  b->kernel_copy = true;
  b->start(64);
  for (Slot i = 0; i < 64; i++) {
    b->length[i] = 100;
    b->meta[i].service = i % 2;
    b->meta[i].backend = 3;
    if (i < 40) b->forward(i, 0);
    if (i >= 40 && i < 50) b->punt(i);
    if (i >= 50) b->drop(i, static_cast<Drop>(LB_DROP_FIRST + i - 50));
  }
  WorkerState w;
  count(*b, 64, 6400, w);
  EXPECT_EQ(64u, w.counters[LB_COUNT_RxPackets]);
  EXPECT_EQ(6400u, w.counters[LB_COUNT_RxBytes]);
  EXPECT_EQ(40u, w.counters[LB_COUNT_Forwarded]);
  EXPECT_EQ(4000u, w.counters[LB_COUNT_ForwardedBytes]);
  EXPECT_EQ(10u, w.counters[LB_COUNT_Punted]);
  for (size_t d = LB_DROP_FIRST; d < LB_DROP_FIRST + 14; d++) EXPECT_EQ(1u, w.counters[d]) << d;
  EXPECT_EQ(64u, sum_of_verdicts(w));
  EXPECT_EQ(20u, w.services[0].packets);
  EXPECT_EQ(20u, w.services[1].packets);
  EXPECT_EQ(2000u, w.services[1].bytes);
  EXPECT_EQ(40u, w.backends[3].packets);
  EXPECT_EQ(4000u, w.backends[3].bytes);
}

TEST(Count, AddsUpOverBatches) {
  auto b = std::make_unique<Batch>();
  WorkerState w;
  for (int n = 1; n <= 5; n++) {
    b->start(static_cast<uint32_t>(n));
    for (Slot i = 0; i < static_cast<Slot>(n); i++) b->drop(i, LB_DROP_TxFull);
    count(*b, static_cast<uint32_t>(n), 60u * static_cast<uint32_t>(n), w);
  }
  EXPECT_EQ(15u, w.counters[LB_COUNT_RxPackets]);
  EXPECT_EQ(15u, w.counters[LB_COUNT_TxFull]);
  EXPECT_EQ(900u, w.counters[LB_COUNT_RxBytes]);
}

TEST(Count, CountsNoServiceForWhatTheEgressDidNotTake) {
  auto b = std::make_unique<Batch>();
  b->start(1);
  b->length[0] = 60;
  b->meta[0].service = 1;
  b->meta[0].backend = 1;
  b->forward(0, 0);
  b->drop(0, LB_DROP_TxFull);  // as the engine does when the queue is full
  WorkerState w;
  count(*b, 1, 60, w);
  EXPECT_EQ(0u, w.services[1].packets);
  EXPECT_EQ(0u, w.backends[1].packets);
  EXPECT_EQ(1u, sum_of_verdicts(w));
}

}  // namespace
}  // namespace lb::stages
