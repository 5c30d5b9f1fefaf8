// Control's view of the tables, and what workers find in each other's.
#include "dataplane/dpdk/flow_tables.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "dataplane/flows/flow_clock.h"
#include "tests/property/flow_world.h"

namespace lb::dpdk {
namespace {

using property::FlowBatch;
using property::FlowWorld;
using property::tuple_of;

class FlowTablesTest : public testing::Test {
 protected:
  FlowTablesTest() {
    char name[] = "/dev/shm/lbd-flow-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~FlowTablesTest() override {
    tables_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open(uint32_t workers) {
    tables_.reset();
    auto file = FlowFile::open({.folder = folder_ + "/flows", .key = {1, 2}, .flows = 8192, .huge_pages = false},
                               workers, [](std::string_view) {});
    ASSERT_TRUE(file);
    tables_ = std::make_unique<FlowTables>(std::move(*file), 8192);
    trackers_.clear();
    for (uint32_t w = 0; w < workers; w++) {
      trackers_.emplace_back(tables_->of(w), tables_->others_of(w), counters_.data());
      trackers_.back().tick(now_, nullptr);
    }
  }
  void tick(uint64_t ms) {
    now_ += ms;
    for (uint32_t w = 0; w < trackers_.size(); w++) trackers_[w].tick(now_, tables_->requests_of(w));
  }
  // Sends one packet of each flow through worker w. RETURNS: their backends.
  std::vector<uint16_t> send(uint32_t w, uint32_t first, uint32_t count, uint8_t tcp, uint8_t proto = LB_PROTO_TCP) {
    FlowBatch batch(world_.get());
    std::vector<uint16_t> backends;
    for (uint32_t n = 0; n < count; n += stages::kBatch) {
      batch.clear();
      for (uint32_t k = n; k < std::min(count, n + stages::kBatch); k++) batch.add(tuple_of(first + k, proto), tcp);
      batch.run(trackers_[w]);
      for (uint32_t k = 0; k < batch.size(); k++) backends.push_back(batch.backend(k));
    }
    return backends;
  }
  void establish(uint32_t w, uint32_t first, uint32_t count) {
    before_ = send(w, first, count, LB_TCP_SYN);
    tick(300);
    send(w, first, count, LB_TCP_ACK);
  }
  // Whoever is not tracked is sent elsewhere from now on.
  void turn_tables() {
    for (uint32_t s = 0; s < 2; s++)
      for (uint16_t& b : world_.slots(s)) b = static_cast<uint16_t>(b % 6 == 0 ? b - 5 : b + 1);
  }
  using Which = model::FlowTables::Which;
  std::map<uint32_t, model::Flow> scan_all(uint64_t lines = 100, Which which = Which::kLive) {
    std::map<uint32_t, model::Flow> found;
    std::optional<uint64_t> at = 0;
    while (at) {
      at = tables_->scan(
          *at, lines,
          [&](const model::Flow& f) {
            const auto n = static_cast<uint32_t>(f.source.b[13] << 16 | f.source.b[14] << 8 | f.source.b[15]);
            EXPECT_TRUE(found.emplace(n, f).second) << "flow " << n << " twice";
          },
          which);
    }
    return found;
  }

  std::string folder_;
  FlowWorld world_;
  std::unique_ptr<FlowTables> tables_;
  std::vector<uint64_t> counters_ = std::vector<uint64_t>(LB_COUNT_MAX);
  std::vector<stages::FlowTracker> trackers_;
  uint64_t now_ = flows::flow_clock_ms();
  std::vector<uint16_t> before_;
};

TEST_F(FlowTablesTest, CountsByBackendAndClass) {
  open(1);
  send(0, 0, 600, LB_TCP_SYN);
  send(0, 1000, 100, 0, LB_PROTO_UDP);
  model::FlowTotals t = tables_->count();
  EXPECT_EQ(700, t.live);
  EXPECT_EQ(8192, t.capacity);
  uint32_t once = 0, named = 0;
  for (const model::BackendFlows& b : t.backends) {
    once += b.once;
    named += b.named;
    EXPECT_EQ(b.once, b.total());
  }
  EXPECT_EQ(700, once);
  EXPECT_EQ(FlowWorld::kBackends, named);
}

TEST_F(FlowTablesTest, ShowsEveryFlowOnce) {
  open(2);
  establish(0, 0, 500);
  send(1, 500, 500, LB_TCP_SYN);
  const auto found = scan_all();
  ASSERT_EQ(1000, found.size());
  for (const auto& [n, f] : found) {
    EXPECT_EQ(n < 500 ? model::FlowClass::kEstablished : model::FlowClass::kOnce, f.flow_class);
    EXPECT_EQ(n < 500 ? 0 : 1, net::raw(f.worker));
    EXPECT_EQ(world_.chosen(tuple_of(n, LB_PROTO_TCP)), net::raw(f.backend));
    EXPECT_EQ(lb_htons(80), f.destination_port);
  }
}

TEST_F(FlowTablesTest, ForgetsWhatIsAskedFor) {
  open(1);
  establish(0, 0, 300);
  const auto found = scan_all();
  for (const auto& [n, f] : found)
    if (n % 3 == 0) {
      ASSERT_TRUE(tables_->forget(f));
    }
  tick(1);
  const auto left = scan_all();
  EXPECT_EQ(200, left.size());
  for (const auto& [n, f] : left) EXPECT_NE(0u, n % 3);
}

TEST_F(FlowTablesTest, WhatIsOverIsSeenAndForgottenWhenAskedFor) {
  now_ -= 100'000;  // a SYN's time is 30 s
  open(1);
  send(0, 0, 50, LB_TCP_SYN);
  EXPECT_TRUE(scan_all().empty());
  const auto over = scan_all(100, Which::kAll);
  ASSERT_EQ(50, over.size());
  for (const auto& [n, f] : over) {
    EXPECT_TRUE(f.over);
    ASSERT_TRUE(tables_->forget(f));
  }
  tick(1);
  EXPECT_TRUE(scan_all(100, Which::kAll).empty());
}

TEST_F(FlowTablesTest, RefusesRequestsBeyondItsQueue) {
  open(1);
  establish(0, 0, 1);
  const model::Flow flow = scan_all().begin()->second;
  uint32_t taken = 0;
  while (tables_->forget(flow) && taken < 100'000) taken++;
  EXPECT_GE(taken, 1000u);
  EXPECT_LT(taken, 100'000u);
  tick(1);
  EXPECT_TRUE(tables_->forget(flow));
}

TEST_F(FlowTablesTest, KeepsAFlowThatChangesItsWorker) {
  open(2);
  establish(0, 0, 400);
  turn_tables();
  EXPECT_EQ(before_, send(1, 0, 400, LB_TCP_ACK));
  EXPECT_EQ(400, counters_[LB_COUNT_ForeignFound]);
  EXPECT_EQ(before_, send(1, 0, 400, LB_TCP_ACK));
  EXPECT_EQ(400, counters_[LB_COUNT_ForeignFound]);  // copied: its own from now on
}

// Sent elsewhere it would be lost for good; dropped, TCP repeats it.
TEST_F(FlowTablesTest, DropsRatherThanMovesWhileTheNextHopIsUnknown) {
  open(1);
  establish(0, 0, 1);
  const uint16_t backend = before_[0];
  turn_tables();
  FlowBatch batch(world_.get());
  batch.add(tuple_of(0, LB_PROTO_TCP), LB_TCP_ACK);
  world_.get().backends[backend].flags &= static_cast<uint8_t>(~LB_BACKEND_RESOLVED);
  batch.run(trackers_[0]);
  EXPECT_FALSE(batch.live(0));
  EXPECT_EQ(LB_DROP_NoNextHop, batch.reason(0));
  world_.get().backends[backend].flags |= LB_BACKEND_RESOLVED;
  batch.run(trackers_[0]);
  EXPECT_TRUE(batch.live(0));
  EXPECT_EQ(backend, batch.backend(0));
}

TEST_F(FlowTablesTest, DoesNotLookElsewhereForASyn) {
  open(2);
  establish(0, 0, 400);
  turn_tables();
  EXPECT_NE(before_, send(1, 0, 400, LB_TCP_SYN));
  EXPECT_EQ(0, counters_[LB_COUNT_ForeignFound]);
}

TEST_F(FlowTablesTest, LooksElsewhereWithinARate) {
  open(2);
  tick(1);
  send(1, 0, 1'000'000, LB_TCP_ACK);
  EXPECT_GT(counters_[LB_COUNT_ForeignSkipped], 100'000);
  const uint64_t skipped = counters_[LB_COUNT_ForeignSkipped];
  tick(1000);
  send(1, 2'000'000, 100'000, LB_TCP_ACK);
  EXPECT_EQ(skipped, counters_[LB_COUNT_ForeignSkipped]);
}

TEST_F(FlowTablesTest, KeepsFlowsOverARestart) {
  open(2);
  establish(0, 0, 300);
  open(2);
  turn_tables();
  EXPECT_EQ(before_, send(0, 0, 300, LB_TCP_ACK));
}

TEST_F(FlowTablesTest, KeepsFlowsOverAnotherNumberOfWorkers) {
  open(1);
  establish(0, 0, 300);
  const auto before = before_;
  open(3);
  turn_tables();
  tick(1);
  const auto elsewhere = scan_all();
  EXPECT_EQ(300, elsewhere.size());
  EXPECT_TRUE(elsewhere.begin()->second.former);
  tick(10);
  EXPECT_EQ(before, send(2, 0, 300, LB_TCP_ACK));
  const auto here = scan_all();
  EXPECT_EQ(300, here.size());
  EXPECT_FALSE(here.begin()->second.former);
}

// Nobody wrote the tables while lbd was away; its time fields wrap meanwhile.
TEST_F(FlowTablesTest, KnowsHowLongItWasAway) {
  open(1);
  establish(0, 0, 10);
  send(0, 100, 10, LB_TCP_SYN);
  const stages::FlowTable table = tables_->of(0);
  stages::catch_up(table, now_ + 40'000);
  uint32_t established = 0, stale = 0;
  for (uint32_t l = 0; l < table.count; l++) {
    for (const uint16_t s : table.lines[l].state) {
      established += lb_flow_class_of(s) == LB_FLOW_ESTABLISHED;
      stale += lb_flow_class_of(s) == LB_FLOW_STALE;
    }
  }
  EXPECT_EQ(10, established);
  EXPECT_EQ(10, stale);
  stages::catch_up(table, now_ + 40'000 + 2'097'152);  // the field's whole turn: all look young again
  for (uint32_t l = 0; l < table.count; l++)
    for (const uint16_t s : table.lines[l].state) EXPECT_NE(uint32_t{LB_FLOW_ESTABLISHED}, lb_flow_class_of(s));
}

TEST_F(FlowTablesTest, GivesBackAFormerTableWithoutFlows) {
  open(1);
  establish(0, 0, 10);
  open(2);
  tables_->tidy();
  EXPECT_TRUE(std::filesystem::exists(tables_->file().folder() + "/table-1"));
  for (const auto& [n, f] : scan_all()) ASSERT_TRUE(tables_->forget(f));
  tables_->tidy();
  EXPECT_FALSE(std::filesystem::exists(tables_->file().folder() + "/table-1"));
  EXPECT_TRUE(scan_all().empty());
}

}  // namespace
}  // namespace lb::dpdk
