#include "dataplane/model/counters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace lb::model {
namespace {

TEST(Counters, AreIndexedByTheirId) {
  ASSERT_EQ(counters().size(), static_cast<size_t>(LB_COUNT_MAX));
  for (size_t i = 0; i < counters().size(); i++) EXPECT_EQ(counters()[i].id, static_cast<lb_counter>(i));
  EXPECT_EQ(counter(LB_COUNT_TxFull).name, "tx_full");
}

TEST(Counters, NamesAreUniqueSnakeCaseAndHaveHelp) {
  std::set<std::string_view> seen;
  for (const CounterInfo& c : counters()) {
    EXPECT_TRUE(seen.insert(c.name).second) << c.name;
    EXPECT_TRUE(std::ranges::all_of(c.name, [](char x) {
      return (x >= 'a' && x <= 'z') || (x >= '0' && x <= '9') || x == '_';
    })) << c.name;
    EXPECT_FALSE(c.help.empty()) << c.name;
  }
}

TEST(Counters, DropsAreExactlyTheDropReasons) {
  size_t drops = 0;
#define X(id, name, help)                                                     \
  EXPECT_TRUE(counter(LB_COUNT_##id).is_drop);                                \
  EXPECT_EQ(static_cast<int>(LB_DROP_##id), static_cast<int>(LB_COUNT_##id)); \
  drops++;
  LB_DROP_COUNTERS(X)
#undef X
  EXPECT_EQ(static_cast<size_t>(std::ranges::count_if(counters(), &CounterInfo::is_drop)), drops);
  EXPECT_FALSE(counter(LB_COUNT_Forwarded).is_drop);
  EXPECT_FALSE(counter(LB_COUNT_Punted).is_drop);
}

}  // namespace
}  // namespace lb::model
