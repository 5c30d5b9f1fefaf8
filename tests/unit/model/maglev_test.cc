#include "dataplane/model/maglev.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace lb::model {
namespace {

using Table = std::vector<uint16_t>;

constexpr uint32_t kSize = 65537;

MaglevBackend backend(uint16_t id, uint32_t weight = 100) {
  const uint8_t ip[4] = {10, 0, static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id)};
  return {.address = net::Address::from_ipv4(ip), .weight = weight, .id = net::BackendId{id}};
}

std::vector<MaglevBackend> backends(uint16_t n, uint32_t weight = 100) {
  std::vector<MaglevBackend> all;
  for (uint16_t id = 1; id <= n; id++) all.push_back(backend(id, weight));
  return all;
}

std::map<uint16_t, uint32_t> share(const Table& table) {
  std::map<uint16_t, uint32_t> count;
  for (uint16_t id : table) count[id]++;
  return count;
}

// Slots that changed although their backend is in both tables.
uint32_t moved(const Table& before, const Table& after, uint16_t gone) {
  uint32_t n = 0;
  for (size_t i = 0; i < before.size(); i++) n += before[i] != gone && before[i] != after[i];
  return n;
}

TEST(Maglev, GoldenVectorOfThePaper) {
  const MaglevEntry b0{3, 4, 1}, b1{0, 2, 1}, b2{3, 1, 1};
  EXPECT_EQ(fill_maglev(std::vector{b0, b1, b2}, 7), (Table{1, 0, 1, 0, 2, 2, 0}));
  EXPECT_EQ(fill_maglev(std::vector{b0, b2}, 7), (Table{0, 0, 0, 0, 1, 1, 1}));
}

TEST(Maglev, EqualWeightsOfAnySizeGiveTheSameTable) {
  const auto of = [](uint32_t w) { return fill_maglev(std::vector<MaglevEntry>{{3, 4, w}, {0, 2, w}, {3, 1, w}}, 7); };
  EXPECT_EQ(of(1), (Table{1, 0, 1, 0, 2, 2, 0}));
  EXPECT_EQ(of(1000), of(1));
}

TEST(Maglev, EqualWeightsDifferByAtMostOneSlot) {
  for (uint16_t n : std::initializer_list<uint16_t>{1, 2, 7, 100, 1000}) {
    const auto count = share(build_maglev(backends(n), kSize));
    ASSERT_EQ(count.size(), n);
    for (const auto& [id, slots] : count) EXPECT_NEAR(slots, static_cast<double>(kSize) / n, 1.0) << n << ", id " << id;
  }
}

TEST(Maglev, OneBesideAHundredGetsItsShareToTheSlot) {
  const auto count = share(build_maglev({backend(1, 1), backend(2, 100)}, kSize));
  EXPECT_NEAR(count.at(1), kSize / 101.0, 1.0);
}

TEST(Maglev, SharesFollowMixedWeightsToTheSlot) {
  std::vector<MaglevBackend> all;
  uint32_t sum = 0;
  for (uint16_t id = 1; id <= 50; id++) {
    all.push_back(backend(id, id * 20u));
    sum += id * 20u;
  }
  const auto count = share(build_maglev(all, kSize));
  for (const MaglevBackend& b : all)
    EXPECT_NEAR(count.at(net::raw(b.id)), static_cast<double>(kSize) * b.weight / sum, 1.5) << b.weight;
}

TEST(Maglev, PositionNeverMatters) {
  auto all = backends(40);
  for (size_t i = 0; i < all.size(); i++) all[i].weight = static_cast<uint32_t>(1 + i * 7 % 13);
  const Table table = build_maglev(all, 4099);
  std::ranges::reverse(all);
  EXPECT_EQ(build_maglev(all, 4099), table);
}

TEST(Maglev, WeightZeroIsAsIfAbsent) {
  auto all = backends(5);
  all[2].weight = 0;
  auto without = all;
  without.erase(without.begin() + 2);
  EXPECT_EQ(build_maglev(all, 251), build_maglev(without, 251));
}

TEST(Maglev, NobodyWithWeightLeavesTheTableEmpty) {
  EXPECT_EQ(build_maglev({}, 251), Table(251));
  EXPECT_EQ(build_maglev({backend(1, 0)}, 251), Table(251));
}

TEST(Maglev, RemovingOneOfManyMovesLittleElse) {
  for (uint16_t n : std::initializer_list<uint16_t>{10, 100, 1000}) {
    const auto all = backends(n);
    const Table before = build_maglev(all, kSize);
    for (uint16_t gone : {uint16_t{1}, static_cast<uint16_t>(n / 2), n}) {
      auto rest = all;
      std::erase_if(rest, [&](const MaglevBackend& b) { return net::raw(b.id) == gone; });
      const double others = moved(before, build_maglev(rest, kSize), gone) / static_cast<double>(kSize);
      EXPECT_LE(others, 0.011) << n << " backends without " << gone;
    }
  }
}

TEST(Maglev, EveryPositiveWeightGetsASlot) {
  std::vector<MaglevBackend> all = backends(100, 1000);
  all.push_back(backend(101, 1));
  all.push_back(backend(102, 1));
  EXPECT_EQ(min_slots(all, 251), 0u);
  const auto count = share(build_maglev(all, 251));
  EXPECT_EQ(count.at(101), 1u);
  EXPECT_EQ(count.at(102), 1u);
  EXPECT_EQ(count.size(), 102u);
}

TEST(Maglev, AsManyBackendsAsSlots) {
  auto all = backends(251);
  all[0].weight = 1000;
  const auto count = share(build_maglev(all, 251));
  EXPECT_EQ(count.size(), 251u);
}

TEST(Maglev, EqualAddressesAreOrderedByWeightNotById) {
  const auto table = [](uint16_t light, uint16_t heavy) {
    MaglevBackend a = backend(9, 1), b = backend(9, 3);
    a.id = net::BackendId{light};
    b.id = net::BackendId{heavy};
    return share(build_maglev({a, b}, 251));
  };
  EXPECT_EQ(table(1, 2).at(1), table(2, 1).at(2));
}

TEST(Maglev, MinSlotsIsTheSmallestShareWithoutRepair) {
  EXPECT_EQ(min_slots(std::vector{backend(1), backend(2)}, 251), 125u);
  EXPECT_EQ(min_slots(std::vector{backend(1, 1), backend(2, 4)}, 251), 50u);
  EXPECT_EQ(min_slots(std::vector{backend(1), backend(2, 0)}, 251), 251u);
}

// Part of hash-version 1: a table must be the same on every machine and in every release.
TEST(Maglev, FrozenPermutations) {
  const MaglevEntry four = maglev_entry(net::Address::parse("10.0.0.11").value(), 0, 1, kSize);
  const MaglevEntry six = maglev_entry(net::Address::parse("2001:db8:1::12").value(), 0, 1, kSize);
  const MaglevEntry port = maglev_entry(net::Address::parse("10.0.0.11").value(), 8080, 1, kSize);
  EXPECT_EQ(std::pair(four.offset, four.skip), std::pair(9714u, 56408u));
  EXPECT_EQ(std::pair(six.offset, six.skip), std::pair(27495u, 54307u));
  EXPECT_EQ(std::pair(port.offset, port.skip), std::pair(18192u, 18853u));
}

}  // namespace
}  // namespace lb::model
