// From the log to the records' places: the test plays the program.
#include "xdp/flow_log.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "dataplane/net/flow_line.h"

namespace lb::xdp {
namespace {

constexpr uint32_t kLines = 64;

class FlowLogTest : public testing::Test {
 protected:
  FlowLogTest() {
    table_.lines = lines_.data();
    table_.cold = cold_.data();
    table_.count = kLines;
  }
  static uint64_t hash_of(uint64_t n) { return n * 0x9e3779b97f4a7c15ull + 0x1234567; }
  static uint64_t place_of(uint64_t n, bool second) {
    const uint64_t hash = hash_of(n);
    return uint64_t{second ? lb_flow_second_line(hash, kLines) : lb_flow_first_line(hash, kLines)} * LB_FLOW_ENTRIES +
           n % LB_FLOW_ENTRIES;
  }
  void enter(uint64_t n, bool second = false) {
    const uint64_t at = place_of(n, second), hash = hash_of(n);
    lb_flow_line& line = lines_[at / LB_FLOW_ENTRIES];
    line.tag[at % LB_FLOW_ENTRIES] = static_cast<uint16_t>(hash);
    line.tag2[at % LB_FLOW_ENTRIES] = static_cast<uint16_t>(hash >> 16);
    line.state[at % LB_FLOW_ENTRIES] = lb_flow_state(LB_FLOW_ONCE, 1000);
  }
  void log(uint64_t n, bool second = false) {
    lb_flow_cold record{};
    record.hash = hash_of(n);
    record.sport = static_cast<lb_be16>(n);
    record.pad0[0] = static_cast<uint8_t>(n % LB_FLOW_ENTRIES | (second ? LB_XDP_LOG_SECOND : 0));
    auto& ends = log_[0].ends;
    net::write_cold(log_[1 + ends.head++ % LB_XDP_LOG_ENTRIES].record, record);
  }
  bool has(uint64_t n, bool second = false) const {
    lb_flow_cold record;
    return net::read_cold(cold_[place_of(n, second)], record) && record.hash == hash_of(n) &&
           record.sport == static_cast<lb_be16>(n) && record.pad0[0] == 0;
  }
  size_t drain() { return drain_log(log_, table_); }

  std::vector<lb_flow_line> lines_ = std::vector<lb_flow_line>(kLines);
  std::vector<lb_flow_cold> cold_ = std::vector<lb_flow_cold>(kLines * LB_FLOW_ENTRIES);
  std::vector<lb_xdp_log_line> log_ = std::vector<lb_xdp_log_line>(LB_XDP_LOG_LINES);
  stages::FlowTable table_;
};

TEST_F(FlowLogTest, RecordsReachTheirPlacesInEitherLine) {
  EXPECT_EQ(drain(), 0u);
  enter(11);
  enter(12, true);
  log(11);
  log(12, true);
  EXPECT_EQ(drain(), 2u);
  EXPECT_TRUE(has(11));
  EXPECT_TRUE(has(12, true));
  EXPECT_EQ(log_[0].ends.tail, 2u);
  EXPECT_EQ(drain(), 0u);
}

TEST_F(FlowLogTest, GoesRoundAsOftenAsItMust) {
  log_[0].ends.head = log_[0].ends.tail = 5 * LB_XDP_LOG_ENTRIES - 20;
  for (uint64_t n = 0; n < 50; n++) {
    std::fill(lines_.begin(), lines_.end(), lb_flow_line{});
    std::fill(cold_.begin(), cold_.end(), lb_flow_cold{});
    enter(n);
    log(n);
    EXPECT_EQ(drain(), 1u);
    EXPECT_TRUE(has(n)) << n;
  }
  for (uint64_t n = 0; n < LB_XDP_LOG_ENTRIES; n++) log(n);
  EXPECT_EQ(drain(), LB_XDP_LOG_ENTRIES);
}

// The flow that has the entry by now found the log full, and wrote its record to its place.
TEST_F(FlowLogTest, AnotherFlowsEntryKeepsItsRecord) {
  log(11);
  enter(11);
  lines_[place_of(11, false) / LB_FLOW_ENTRIES].tag2[11 % LB_FLOW_ENTRIES]++;
  log(12);  // its entry is free again
  EXPECT_EQ(drain(), 2u);
  EXPECT_FALSE(has(11));
  EXPECT_FALSE(has(12));
}

TEST_F(FlowLogTest, WhatIsNoRecordIsLeftOut) {
  enter(11);
  log(11);
  log_[1].words[6]++;
  EXPECT_EQ(drain(), 1u);
  EXPECT_FALSE(has(11));
  log_[0].ends.head = 10 * LB_XDP_LOG_ENTRIES;  // more than there can be
  EXPECT_EQ(drain(), 0u);
  EXPECT_EQ(log_[0].ends.tail, log_[0].ends.head);
}

TEST_F(FlowLogTest, ALogThatFillsIsLookedAtMoreOften) {
  EXPECT_GT(next_drain(0), next_drain(LB_XDP_LOG_ENTRIES / 2));
  EXPECT_EQ(next_drain(0), next_drain(10));
}

}  // namespace
}  // namespace lb::xdp
