// Where the program leaves the records of new flows, and what it makes of an entry whose record has not come yet.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "dataplane/net/flow_line.h"
#include "tests/conformance/xdp_rig.h"
#include "xdp/flow_log.h"

namespace lb::conformance {
namespace {

class XdpLog : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_xdp(); !why.empty()) GTEST_SKIP() << why;
    start({.lines = 64, .keeps_log = true});
  }
  void start(const XdpShape& shape) {
    rig_ = std::make_unique<XdpRig>(shape);
    rig_->publish(compile(edge()));
    rig_->set_clock(kStart);
  }
  // RETURNS: the flow's hash. flags: of the TCP header.
  uint64_t send(uint16_t sport, uint8_t flags) {
    const packet::Packet p = packet::eth().ip4("203.0.113.7", "192.0.2.10").tcp(sport, 80, {.flags = flags});
    const XdpRun run = rig_->run(p.bytes());
    EXPECT_EQ(run.decision.verdict, uint32_t{LB_XDP_FORWARDED});
    return run.decision.flow_hash;
  }
  // The record beside the flow's entry; none: it is not there.
  std::optional<lb_flow_cold> record_of(uint64_t hash) {
    const stages::FlowTable t = rig_->table(0);
    for (const uint32_t line : {lb_flow_first_line(hash, t.count), lb_flow_second_line(hash, t.count)})
      for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++) {
        lb_flow_cold record;
        if ((lb_flow_match_plain(&t.lines[line], static_cast<uint32_t>(hash)) >> e & 1) != 0 &&
            net::read_cold(t.cold[line * LB_FLOW_ENTRIES + e], record) && record.hash == hash)
          return record;
      }
    return std::nullopt;
  }
  uint64_t counter(lb_counter which) { return rig_->maps().workers()[0].counters[which]; }

  static constexpr uint64_t kStart = 1'000'000;
  std::unique_ptr<XdpRig> rig_;
};

TEST_F(XdpLog, RecordsWaitInItAndReachTheirPlaces) {
  std::vector<uint64_t> flows;
  for (uint16_t n = 0; n < 300; n++) flows.push_back(send(static_cast<uint16_t>(1000 + n), LB_TCP_SYN));
  EXPECT_EQ(rig_->log(0)[0].ends.head, 300u);
  EXPECT_EQ(rig_->log(0)[0].ends.tail, 0u);
  for (const uint64_t hash : flows) EXPECT_FALSE(record_of(hash).has_value());
  rig_->take_records();
  EXPECT_EQ(rig_->log(0)[0].ends.tail, 300u);
  for (uint16_t n = 0; n < 300; n++) {
    const auto record = record_of(flows[n]);
    ASSERT_TRUE(record.has_value()) << n;
    EXPECT_EQ(record->sport, lb_htons(static_cast<uint16_t>(1000 + n)));
    EXPECT_EQ(record->proto, LB_PROTO_TCP);
    EXPECT_EQ(record->start_ms, kStart);
    EXPECT_EQ(record->pad0[0], 0);
  }
}

TEST_F(XdpLog, WhatFindsNoRoomGoesToItsPlaceAtOnce) {
  rig_->log(0)[0].ends.head = LB_XDP_LOG_ENTRIES - 1;
  const uint64_t last = send(1000, LB_TCP_SYN), more = send(1001, LB_TCP_SYN);
  EXPECT_FALSE(record_of(last).has_value());
  EXPECT_TRUE(record_of(more).has_value());
  EXPECT_EQ(rig_->log(0)[0].ends.head, LB_XDP_LOG_ENTRIES);
  rig_->take_records();
  EXPECT_TRUE(record_of(last).has_value());
  const uint64_t after = send(1002, LB_TCP_SYN);
  EXPECT_FALSE(record_of(after).has_value());
}

TEST_F(XdpLog, SeveralWritersGoWithoutIt) {
  start({.lines = 64, .keeps_log = true, .is_shared = true});
  EXPECT_TRUE(record_of(send(1000, LB_TCP_SYN)).has_value());
  EXPECT_EQ(rig_->log(0)[0].ends.head, 0u);
}

// The record in the entry's place is none, or of the flow before: nobody can tell whether its flow would be moved.
TEST_F(XdpLog, WhoseRecordHasNotComeYetIsNotEvicted) {
  start({.lines = 1, .keeps_log = true});
  for (uint16_t n = 0; n < LB_FLOW_ENTRIES; n++) send(static_cast<uint16_t>(1000 + n), LB_TCP_SYN);
  rig_->set_clock(kStart + 300);
  for (uint16_t n = 0; n < LB_FLOW_ENTRIES; n++) send(static_cast<uint16_t>(1000 + n), LB_TCP_ACK);
  ASSERT_EQ(counter(LB_COUNT_FlowHits), LB_FLOW_ENTRIES);
  send(2000, LB_TCP_SYN);
  EXPECT_EQ(counter(LB_COUNT_FlowsUntracked), 1u);
  rig_->take_records();
  send(2001, LB_TCP_SYN);
  EXPECT_EQ(counter(LB_COUNT_FlowsEvictedAgreeing), 1u);
}

}  // namespace
}  // namespace lb::conformance
