#include "xdp/table_room.h"

#include <gtest/gtest.h>

#include "tests/property/random.h"
#include "xdp/lb_abi.h"

namespace lb::xdp {
namespace {

using TablePtr = std::shared_ptr<const model::Table>;

TablePtr table(uint32_t slots) {
  return std::make_shared<const model::Table>(
      model::Table{.size = slots, .slots = std::vector<uint16_t>(slots, 1), .digest = 0});
}

TEST(TableRoom, ATableTakesWholeLines) {
  EXPECT_EQ(table_lines(*table(1)), 1u);
  EXPECT_EQ(table_lines(*table(32)), 1u);
  EXPECT_EQ(table_lines(*table(33)), 2u);
  EXPECT_EQ(table_lines(*table(65537)), 2049u);
}

TEST(TableRoom, TheSameTableHasOnePlace) {
  TableRoom room(10);
  const TablePtr a = table(64), b = table(64);
  const std::vector both = {a, b, a};
  const auto fresh = room.place(both);
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->size(), 2u);
  EXPECT_NE(room.line_of(*a), room.line_of(*b));
  EXPECT_EQ(room.free_lines(), 6u);
  EXPECT_TRUE(room.place(both)->empty());
}

TEST(TableRoom, WhatDoesNotFitChangesNothing) {
  TableRoom room(10);
  const TablePtr a = table(32 * 6), b = table(32 * 3), c = table(32 * 2);
  ASSERT_TRUE(room.place(std::vector{a}));
  EXPECT_FALSE(room.place(std::vector{b, c}));
  EXPECT_EQ(room.free_lines(), 4u);
  ASSERT_TRUE(room.place(std::vector{b}));  // b is not thought to be there already
  EXPECT_EQ(room.line_of(*b), 6u);
}

TEST(TableRoom, FreedLinesJoinTheirNeighbours) {
  TableRoom room(9);
  const std::vector three = {table(96), table(96), table(96)};
  ASSERT_TRUE(room.place(three));
  room.keep_only(std::vector{three[1]});
  EXPECT_FALSE(room.place(std::vector{table(32 * 4)}));  // two gaps of three
  room.keep_only({});
  EXPECT_TRUE(room.place(std::vector{table(32 * 9)}));
}

// Against a plain array of owners.
TEST(TableRoom, NoTwoTablesOverlapWhateverComesAndGoes) {
  property::Random random(0);
  TableRoom room(400);
  std::vector<TablePtr> kept;
  for (int round = 0; round < 500; round++) {
    std::vector<TablePtr> wanted = kept;
    for (uint32_t n = random.below(4); n > 0; n--) wanted.push_back(table(1 + random.below(32 * 60)));
    if (room.place(wanted)) kept = wanted;
    std::vector<const model::Table*> owner(400);
    uint64_t taken = 0;
    for (const TablePtr& t : kept) {
      for (uint32_t l = 0; l < table_lines(*t); l++) {
        const model::Table*& at = owner.at(room.line_of(*t) + l);
        ASSERT_EQ(at, nullptr);
        at = t.get();
        taken++;
      }
    }
    ASSERT_EQ(taken + room.free_lines(), 400u);
    std::erase_if(kept, [&](const TablePtr&) { return random.below(3) == 0; });
    room.keep_only(kept);
  }
}

}  // namespace
}  // namespace lb::xdp
