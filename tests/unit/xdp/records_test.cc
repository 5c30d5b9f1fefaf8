// Snapshots in the maps of the program, in the kernel.
#include "xdp/records.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/dpdk/small_world.h"
#include "xdp/program.h"

namespace lb::xdp {
namespace {

using dpdk::testing::must;
using dpdk::testing::small_snapshot;
using SnapshotPtr = std::shared_ptr<const model::Snapshot>;

SnapshotPtr with_tables(uint64_t generation, uint32_t slots, uint32_t count) {
  model::Snapshot s = *small_snapshot(generation);
  s.tables.clear();
  s.table_slots.clear();
  for (uint32_t i = 0; i < count; i++) {
    s.tables.push_back(std::make_shared<const model::Table>(model::Table{
        .size = slots, .slots = std::vector<uint16_t>(slots, static_cast<uint16_t>(generation)), .digest = 0}));
    s.table_slots.push_back(s.tables.back()->slots.data());
  }
  for (lb_service& service : s.services) {
    service.table4 = service.table6 = static_cast<uint16_t>(count - 1);
    service.table_size = slots;
  }
  return std::make_shared<const model::Snapshot>(std::move(s));
}

class XdpRecords : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "BPF maps need root";
    make(1024);
  }
  void make(uint32_t table_lines) {
    records_.reset();
    maps_ = must(Maps::create({.workers = 2, .flow_lines = 16, .former_lines = 1, .table_lines = table_lines}));
    records_ = std::make_unique<Records>(must(Records::create(maps_)));
  }
  const lb_xdp_half& active() const { return maps_.config().half[maps_.config().active]; }
  template <class T>
  std::span<T> half(std::span<T> both) const {
    return both.subspan(maps_.config().active * (both.size() / 2), both.size() / 2);
  }
  // Everything that the snapshot says can be read from the half in use.
  void expect_in_use(const model::Snapshot& s) const {
    EXPECT_EQ(active().generation, net::raw(s.generation));
    EXPECT_EQ(active().key.k0, s.hash_key.k0);
    EXPECT_EQ(active().listeners_mask + 1, s.listeners.size());
    EXPECT_EQ(active().addresses_mask + 1, s.addresses.size());
    EXPECT_EQ(active().backends, s.backends.size());
    EXPECT_EQ(active().services, s.services.size());
    EXPECT_EQ(active().ranges, s.ranges.size());
    expect_same(half(maps_.listeners()), s.listeners);
    expect_same(half(maps_.addresses()), s.addresses);
    expect_same(half(maps_.ranges()), s.ranges);
    expect_same(half(maps_.backends()), s.backends);
    for (size_t i = 0; i < s.services.size(); i++) {
      const lb_xdp_service& got = half(maps_.services())[i];
      EXPECT_EQ(memcmp(&got.service, &s.services[i], sizeof(got.service)), 0);
      expect_table(s.table_of(s.services[i], net::Family::kIpv4), got.line4);
      expect_table(s.table_of(s.services[i], net::Family::kIpv6), got.line6);
    }
  }
  template <class T>
  static void expect_same(std::span<T> got, const std::vector<T>& wanted) {
    if (wanted.empty()) return;  // it has no data() to compare with
    EXPECT_EQ(memcmp(got.data(), wanted.data(), wanted.size() * sizeof(T)), 0);
  }
  void expect_table(std::span<const uint16_t> wanted, uint32_t line) const {
    for (size_t slot = 0; slot < wanted.size(); slot++)
      ASSERT_EQ(maps_.tables()[line + slot / LB_XDP_TABLE_CELLS].backend[slot % LB_XDP_TABLE_CELLS], wanted[slot]);
  }

  Maps maps_;
  std::unique_ptr<Records> records_;
};

TEST_F(XdpRecords, BeforeTheFirstSnapshotThereIsNothing) {
  EXPECT_EQ(active().listeners_mask, LB_XDP_EMPTY);
  EXPECT_EQ(active().addresses_mask, LB_XDP_EMPTY);
  EXPECT_EQ(records_->current(), nullptr);
}

TEST_F(XdpRecords, EverySnapshotIsInUseWhole) {
  for (uint64_t generation = 1; generation < 6; generation++) {
    const SnapshotPtr s = small_snapshot(generation);
    const uint32_t before = maps_.config().active;
    const net::Status published = records_->publish(s);
    ASSERT_TRUE(published) << published.error().message;
    EXPECT_NE(maps_.config().active, before);
    expect_in_use(*s);
  }
  const SnapshotPtr empty = small_snapshot(6, true);
  ASSERT_TRUE(records_->publish(empty));
  expect_in_use(*empty);
  EXPECT_EQ(records_->room().free_lines(), records_->room().lines());
}

TEST_F(XdpRecords, NothingOldStaysBehindTheNewRecords) {
  const SnapshotPtr full = small_snapshot(1);
  ASSERT_TRUE(records_->publish(full));
  ASSERT_TRUE(records_->publish(small_snapshot(2)));
  ASSERT_TRUE(records_->publish(small_snapshot(3, true)));  // into the half of the first
  const lb_backend none = {};
  for (size_t i = 0; i < full->backends.size(); i++)
    EXPECT_EQ(memcmp(&half(maps_.backends())[i], &none, sizeof(none)), 0) << i;
  for (size_t i = 0; i < full->services.size(); i++) EXPECT_EQ(half(maps_.services())[i].service.table_size, 0u) << i;
}

TEST_F(XdpRecords, TablesThatStayAreNotWrittenAgainAndOthersMakeRoom) {
  make(20);
  const SnapshotPtr first = with_tables(1, 32 * 10, 1);
  ASSERT_TRUE(records_->publish(first));
  model::Snapshot same = *first;
  same.generation = net::Generation{2};
  maps_.tables()[records_->room().line_of(*first->tables[0])].backend[0] = 77;
  ASSERT_TRUE(records_->publish(std::make_shared<const model::Snapshot>(same)));
  EXPECT_EQ(maps_.tables()[records_->room().line_of(*first->tables[0])].backend[0], 77);
  for (uint64_t generation = 3; generation < 9; generation++) {
    const SnapshotPtr next = with_tables(generation, 32 * 10, 1);  // old and new together fill the map
    ASSERT_TRUE(records_->publish(next));
    expect_in_use(*next);
  }
}

TEST_F(XdpRecords, WhatDoesNotFitChangesNothing) {
  make(20);
  const SnapshotPtr good = with_tables(1, 32 * 10, 1);
  ASSERT_TRUE(records_->publish(good));
  const net::Status refused = records_->publish(with_tables(2, 32 * 6, 2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kUnavailable);
  EXPECT_EQ(refused.error().message,
            "the tables of this configuration take 12 lines of 64 bytes; 10 of 20 lines are free while those in use "
            "stay: use a smaller table-size, or fewer pools");
  expect_in_use(*good);
  EXPECT_EQ(records_->current(), good);
  model::Snapshot large = *good;
  large.ranges.resize(LB_XDP_RANGES + 1);
  const net::Status ranges = records_->publish(std::make_shared<const model::Snapshot>(large));
  ASSERT_FALSE(ranges);
  EXPECT_EQ(ranges.error().message,
            "the configuration needs 65537 port ranges, the XDP program has room for 65536: configure fewer listeners, "
            "or use engine dpdk");
  expect_in_use(*good);
  const SnapshotPtr next = with_tables(3, 32 * 10, 1);
  ASSERT_TRUE(records_->publish(next));
  expect_in_use(*next);
}

TEST_F(XdpRecords, ProgramsShareMapsWithOneAnother) {
  lb_xdp_port port = {};
  port.queues = 1;
  port.workers = 2;
  const Program first = must(Program::load(maps_, port));
  port.port = 1;
  port.first_worker = 1;
  const Program second = must(Program::load(maps_, port));
  EXPECT_NE(first.id(), second.id());
  EXPECT_GT(first.verified_instructions(), 0u);
}

TEST_F(XdpRecords, NewMapsGoOnWithOldOnes) {
  maps_.workers()[1].counters[LB_COUNT_RxPackets] = 7;
  const NamedFd workers = {"lb_workers", maps_.fd("lb_workers")};
  const Maps other =
      must(Maps::create({.workers = 9, .flow_lines = 1, .former_lines = 1, .table_lines = 5}, std::span(&workers, 1)));
  EXPECT_EQ(other.workers().size(), 2u);
  EXPECT_EQ(other.workers()[1].counters[LB_COUNT_RxPackets], 7u);
  EXPECT_EQ(other.tables().size(), 5u);
  const NamedFd wrong = {"lb_workers", maps_.fd("lb_flows")};
  const auto refused = Maps::create({}, std::span(&wrong, 1));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("BPF map lb_workers has values of 64 bytes"), std::string::npos)
      << refused.error().message;
}

TEST(XdpMaps, AnOldKernelIsToldByName) {
  EXPECT_EQ(why_too_old("5.15.0-91-generic"),
            "Linux 5.15.0-91-generic is too old for engine xdp, which needs 6.1 or later; use engine dpdk, or a newer "
            "kernel");
  EXPECT_FALSE(why_too_old("6.0.19").empty());
  for (const char* good : {"6.1.0-18-amd64", "6.18.44-fc", "7.0", "strange"}) EXPECT_EQ(why_too_old(good), "") << good;
}

TEST_F(XdpRecords, WithoutRightsItSaysSo) {
  ASSERT_EQ(seteuid(65534), 0);
  const auto refused = Maps::create({});
  ASSERT_EQ(seteuid(0), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kPermission) << refused.error().message;
}

}  // namespace
}  // namespace lb::xdp
