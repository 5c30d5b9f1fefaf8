// What control and the sweep do to tables that programs write: the test plays the programs.
#include "xdp/flow_tables.h"

#include "dataplane/flows/flow_clock.h"
#include "dataplane/net/flow_line.h"
#include "tests/unit/xdp/life.h"

namespace lb::xdp {
namespace {

constexpr uint32_t kWorkers = 3;
constexpr uint32_t kOrphanAfter = 60'000;

class FlowTablesTest : public Life {
 protected:
  void SetUp() override {
    Life::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    runtime_ = std::make_unique<Runtime>(open());
    start(4096);
  }
  void TearDown() override {
    tables_.reset();
    runtime_.reset();
    Life::TearDown();
  }
  void start(uint32_t flows) {
    tables_.reset();
    auto maps = FlowMaps::open(
        *runtime_, {.key = {1, 2}, .flows = flows, .workers = kWorkers, .orphan_after_ms = kOrphanAfter}, log());
    ASSERT_OK(maps);
    tables_ = std::make_unique<FlowTables>(std::move(*maps), flows);
  }
  // Flow n as worker w's program would write it.
  static uint64_t hash_of(uint32_t n) { return n * 0x9e3779b97f4a7c15ull; }
  void write(uint32_t w, uint32_t n, uint16_t state, uint16_t backend = 9) {
    const stages::FlowTable& t = tables_->of(w);
    const uint64_t hash = hash_of(n);
    const uint32_t at = lb_flow_first_line(hash, t.count), e = n % LB_FLOW_ENTRIES;
    t.lines[at].tag[e] = static_cast<uint16_t>(hash);
    t.lines[at].tag2[e] = static_cast<uint16_t>(hash >> 16);
    t.lines[at].backend[e] = backend;
    net::put(t.lines[at].state[e], state);
    net::write_cold(t.cold[at * LB_FLOW_ENTRIES + e], record_of(n));
  }
  // The same, but the record waits in the log.
  void write_logged(uint32_t w, uint32_t n, uint16_t state) {
    write(w, n, state);
    const stages::FlowTable& t = tables_->of(w);
    t.cold[lb_flow_first_line(hash_of(n), t.count) * LB_FLOW_ENTRIES + n % LB_FLOW_ENTRIES] = {};
    const auto log = tables_->maps().current().log_of(w);
    lb_flow_cold record = record_of(n);
    record.pad0[0] = n % LB_FLOW_ENTRIES;
    net::write_cold(log[1 + log[0].ends.head++].record, record);
  }
  lb_flow_cold record_of(uint32_t n) const {
    lb_flow_cold cold{};
    cold.hash = hash_of(n);
    cold.sport = static_cast<lb_be16>(n);
    cold.proto = LB_PROTO_TCP;
    cold.start_ms = now_;
    return cold;
  }
  uint32_t class_of(uint32_t w, uint32_t n) const {
    const stages::FlowTable& t = tables_->of(w);
    return lb_flow_class_of(t.lines[lb_flow_first_line(hash_of(n), t.count)].state[n % LB_FLOW_ENTRIES]);
  }
  std::vector<model::Flow> scan_all() {
    std::vector<model::Flow> found;
    std::optional<uint64_t> at = 0;
    while (at) at = tables_->scan(*at, 100, [&](const model::Flow& f) { found.push_back(f); });
    return found;
  }
  // As often as the keeper does, for so long.
  void sweep_for(uint64_t ms) {
    for (const uint64_t end = now_ + ms; now_ < end;) tables_->sweep(now_ += 500);
  }

  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<FlowTables> tables_;
  uint64_t now_ = flows::flow_clock_ms();
};

TEST_F(FlowTablesTest, CountsListsAndForgets) {
  for (uint32_t w = 0; w < kWorkers; w++) write(w, 10 + w, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  write(0, 20, lb_flow_state(LB_FLOW_ONCE, now_), 4);
  const model::FlowTotals totals = tables_->count();
  EXPECT_EQ(totals.capacity, 4096u);
  EXPECT_EQ(totals.live, 4u);
  EXPECT_EQ(totals.backends[9].established, 3u);
  EXPECT_EQ(totals.backends[4].once, 1u);
  const auto flows = scan_all();
  ASSERT_EQ(flows.size(), 4u);
  for (const model::Flow& f : flows)
    if (f.backend == net::BackendId(9)) (void)tables_->forget(f);
  EXPECT_EQ(tables_->count().live, 1u);
  for (uint32_t w = 0; w < kWorkers; w++) EXPECT_EQ(class_of(w, 10 + w), static_cast<uint32_t>(LB_FLOW_FREE)) << w;
}

TEST_F(FlowTablesTest, ListsFlowsWhoseRecordsAreInALog) {
  write_logged(0, 10, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  write_logged(1, 11, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  EXPECT_EQ(scan_all().size(), 2u);
  EXPECT_EQ(tables_->drain(), 0u);
}

TEST_F(FlowTablesTest, TheKeeperHearsOfTheFullestLog) {
  for (uint32_t n = 1; n <= 5; n++) write_logged(n % 2, n, lb_flow_state(LB_FLOW_ONCE, now_));
  EXPECT_EQ(tables_->drain(), 3u);
  EXPECT_EQ(scan_all().size(), 5u);
}

// lbd was killed before it took them; of the same shape, and of another.
TEST_F(FlowTablesTest, TheNextLbdTakesWhatIsInTheLogs) {
  for (const uint32_t flows : {4096u, 9000u}) {
    write_logged(0, 10 + flows, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
    start(flows);
    const FlowSet* former = tables_->maps().former();
    EXPECT_EQ(former != nullptr, flows == 9000);
    const FlowSet& set = former != nullptr ? *former : tables_->maps().current();
    EXPECT_EQ(set.log_of(0)[0].ends.tail, flows == 9000 ? 2u : 1u);
    EXPECT_EQ(tables_->count().live, flows == 9000 ? 2u : 1u);
  }
  EXPECT_EQ(scan_all().size(), 2u);
}

// A program of the lbd before goes on until ours takes its place.
TEST_F(FlowTablesTest, AFormerSetsLogIsTakenToo) {
  write(0, 1, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  write_logged(0, 2, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  start(9000);
  const FlowSet& former = *tables_->maps().former();
  former.log_of(0)[0].ends.tail = 0;
  for (lb_flow_cold& cold : std::span(former.tables[0].cold, former.tables[0].count * LB_FLOW_ENTRIES))
    if (cold.hash == hash_of(2)) cold = {};
  EXPECT_EQ(scan_all().size(), 2u);
}

TEST_F(FlowTablesTest, AnEntryThatIsAnothersByNowIsNotForgotten) {
  write(1, 10, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  const auto flows = scan_all();
  ASSERT_EQ(flows.size(), 1u);
  tables_->of(1).lines[flows[0].line].tag2[flows[0].entry]++;
  EXPECT_TRUE(tables_->forget(flows[0]));
  EXPECT_EQ(class_of(1, 10), static_cast<uint32_t>(LB_FLOW_ESTABLISHED));
}

TEST_F(FlowTablesTest, TheSweepVisitsEverythingInItsTime) {
  for (uint32_t n = 0; n < 500; n++) write(n % 2, n, lb_flow_state(LB_FLOW_ONCE, now_));
  sweep_for(29'000);
  EXPECT_EQ(tables_->count().backends[9].named, true);
  for (uint32_t n = 0; n < 500; n++) EXPECT_EQ(class_of(n % 2, n), static_cast<uint32_t>(LB_FLOW_ONCE)) << n;
  sweep_for(1000 + LB_FLOW_SWEEP_MS + 500);
  for (uint32_t n = 0; n < 500; n++) EXPECT_EQ(class_of(n % 2, n), static_cast<uint32_t>(LB_FLOW_STALE)) << n;
}

TEST_F(FlowTablesTest, TheSweepLeavesTheLastWorkersTableToItsThread) {
  write(kWorkers - 1, 1, lb_flow_state(LB_FLOW_ONCE, now_));
  sweep_for(55'000);
  EXPECT_EQ(class_of(kWorkers - 1, 1), static_cast<uint32_t>(LB_FLOW_ONCE));
}

TEST_F(FlowTablesTest, AnEntryFromTheFutureIsYoung) {
  for (uint32_t n = 0; n < 500; n++) write(0, n, lb_flow_state(n % 2 != 0 ? LB_FLOW_ONCE : LB_FLOW_UDP, now_ + 600));
  for (uint32_t i = 0; i < LB_FLOW_SWEEP_MS / 64; i++) {  // everything is visited while they lie in the future
    tables_->sweep(now_ += 1);
  }
  for (uint32_t n = 0; n < 500; n++) EXPECT_NE(class_of(0, n), static_cast<uint32_t>(LB_FLOW_STALE)) << n;
}

// lbd was away for `away` ms after it died; programs wrote until orphan-after.
class AwayTest : public FlowTablesTest {
 protected:
  // Whatever was written at died_ + x, or before it, is looked at `away` after it.
  void be_away(uint64_t away) { catch_up(tables_->maps().current(), died_ + away); }
  static constexpr uint64_t kTurn = (LB_FLOW_TIME + 1) << LB_FLOW_OTHER_SHIFT;
  const uint64_t died_ = now_;
};

TEST_F(AwayTest, WhatWentOnWithoutLbdIsAliveWhatEndedIsNot) {
  write(0, 1, lb_flow_state(LB_FLOW_UDP, died_ + 59'000));  // 41 s before: within a minute
  write(0, 2, lb_flow_state(LB_FLOW_UDP, died_ + 35'000));  // 65 s
  write(0, 3, lb_flow_state(LB_FLOW_UDP, died_ - 1000));    // 101 s
  write(0, 4, lb_flow_state(LB_FLOW_ESTABLISHED, died_ - 700'000));
  write(0, 5, lb_flow_state(LB_FLOW_ESTABLISHED, died_ - 850'000));
  write(0, 6, lb_flow_state(LB_FLOW_ONCE, died_ + 59'000));
  be_away(100'000);
  const std::vector<uint32_t> expected = {LB_FLOW_UDP,         LB_FLOW_STALE, LB_FLOW_STALE,
                                          LB_FLOW_ESTABLISHED, LB_FLOW_STALE, LB_FLOW_STALE};
  for (uint32_t n = 1; n <= 6; n++) EXPECT_EQ(class_of(0, n), expected[n - 1]) << n;
}

// So long that a time field comes round once, and would tell of a minute or two.
TEST_F(AwayTest, AfterATurnOfTheClockNothingSeemsYoung) {
  write(1, 2, lb_flow_state(LB_FLOW_ESTABLISHED, died_ + 59'900));
  write(2, 3, lb_flow_state(LB_FLOW_ESTABLISHED, died_ - 100));
  write(2, 4, lb_flow_state(LB_FLOW_ONCE, died_ - 100));
  be_away(kTurn + 100'000);
  EXPECT_EQ(class_of(1, 2), static_cast<uint32_t>(LB_FLOW_STALE));
  EXPECT_EQ(class_of(2, 3), static_cast<uint32_t>(LB_FLOW_STALE));
  EXPECT_EQ(class_of(2, 4), static_cast<uint32_t>(LB_FLOW_STALE));
}

TEST_F(AwayTest, AStopEndsWhatProgramsWrite) {
  tables_->maps().set_stopped(died_);
  const_cast<FlowSet&>(tables_->maps().current()).header().orphan_after_ms = 0;
  write(0, 1, lb_flow_state(LB_FLOW_ESTABLISHED, died_ - 100));
  be_away(kTurn + 100'000);
  EXPECT_EQ(class_of(0, 1), static_cast<uint32_t>(LB_FLOW_STALE));
}

TEST_F(AwayTest, TheNextLbdCatchesUp) {
  tables_->maps().set_stopped(died_);
  write(0, 1, lb_flow_state(LB_FLOW_UDP, died_ - 70'000));
  write(0, 2, lb_flow_state(LB_FLOW_UDP, died_));
  start(4096);
  EXPECT_TRUE(tables_->maps().adopted());
  EXPECT_EQ(class_of(0, 1), static_cast<uint32_t>(LB_FLOW_STALE));
  EXPECT_EQ(class_of(0, 2), static_cast<uint32_t>(LB_FLOW_UDP));
  EXPECT_EQ(tables_->maps().current().header().stopped_ms, 0u);
}

TEST_F(AwayTest, ThePauseOfTheKeeperIsCaughtUp) {
  write(0, 1, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  write(0, 2, lb_flow_state(LB_FLOW_ESTABLISHED, now_ + 50'000));
  write(0, 3, lb_flow_state(LB_FLOW_UDP, now_));
  tables_->sweep(now_ += 920'000);
  EXPECT_EQ(class_of(0, 1), static_cast<uint32_t>(LB_FLOW_STALE));
  EXPECT_EQ(class_of(0, 2), static_cast<uint32_t>(LB_FLOW_ESTABLISHED));
  EXPECT_EQ(class_of(0, 3), static_cast<uint32_t>(LB_FLOW_STALE));
  write(0, 4, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  tables_->sweep(now_ += kTurn + 100'000);
  EXPECT_EQ(class_of(0, 4), static_cast<uint32_t>(LB_FLOW_STALE));
}

TEST_F(FlowTablesTest, AFormerSetIsSweptListedAndGivenBack) {
  write(0, 1, lb_flow_state(LB_FLOW_ESTABLISHED, now_));
  write(2, 2, lb_flow_state(LB_FLOW_UDP, now_));
  write(1, 3, lb_flow_state(LB_FLOW_UDP, now_));
  start(9000);
  ASSERT_NE(tables_->maps().former(), nullptr);
  EXPECT_EQ(tables_->all().size(), 2 * kWorkers);
  EXPECT_EQ(tables_->others_of(0).size(), 2 * kWorkers - 1);
  auto flows = scan_all();
  ASSERT_EQ(flows.size(), 3u);
  EXPECT_TRUE(flows[0].former);
  for (const model::Flow& f : flows)
    if (f.flow_class == model::FlowClass::kEstablished) (void)tables_->forget(f);
  EXPECT_EQ(scan_all().size(), 2u);
  tables_->tidy();
  EXPECT_TRUE(std::filesystem::exists(folder() + "/former"));
  now_ = std::max(now_, flows::flow_clock_ms());
  sweep_for(60'000 + LB_FLOW_SWEEP_MS + 1000);  // the last worker's too, whom nobody else sweeps any more
  tables_->tidy();
  EXPECT_FALSE(std::filesystem::exists(folder() + "/former"));
  EXPECT_TRUE(scan_all().empty());
  tables_->sweep(now_ += 500);
}

}  // namespace
}  // namespace lb::xdp
