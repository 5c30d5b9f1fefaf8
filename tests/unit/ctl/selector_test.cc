#include "ctl/selector.h"

#include <gtest/gtest.h>

#include "tests/unit/ctl/fakes.h"
#include "tests/unit/ctl/test_config.h"

namespace lb::ctl {
namespace {

std::vector<std::string> names_of(const Selector& selector, Count count = Count::kAny) {
  static const model::Config config = test_config();
  auto found = select(config, selector, count);
  if (!found) return {found.error().message};
  std::vector<std::string> names;
  for (const Selected& s : *found) names.push_back(s.pool->name + '/' + s.backend->name);
  return names;
}

using Names = std::vector<std::string>;

TEST(Selector, TakesNamesPatternsAndLabels) {
  EXPECT_EQ(names_of({{"fe/fe11"}, {}}), Names{"fe/fe11"});
  EXPECT_EQ(names_of({{"fe11"}, {}}), Names{"fe/fe11"});
  EXPECT_EQ(names_of({{"*/fe11"}, {}}), Names{"fe/fe11"});
  EXPECT_EQ(names_of({{"fe/*"}, {}}), (Names{"fe/fe11", "fe/fe12", "fe/fe13"}));
  EXPECT_EQ(names_of({{}, {{"rack", "r13"}}}), Names{"fe/fe12"});
  EXPECT_EQ(names_of({{"fe/*"}, {{"rack", "r12"}}}), Names{"fe/fe11"});
  EXPECT_EQ(names_of({{"fe/fe12", "be/be1"}, {}}), (Names{"be/be1", "fe/fe12"}));
  EXPECT_EQ(names_of({}).size(), 4u);
}

TEST(Selector, RefusesWithWhatThereIs) {
  EXPECT_EQ(names_of({{"fe/fe99"}, {}}), Names{"no backend fits `fe/fe99`; pool fe has fe/fe11, fe/fe12, fe/fe13"});
  EXPECT_EQ(names_of({{"x/y"}, {}}), Names{"no backend fits `x/y`; there are the pools: be, fe"});
  EXPECT_EQ(names_of({{"fe/fe11", "nope"}, {}}), Names{"no backend fits `nope`; there are the pools: be, fe"});
  EXPECT_EQ(names_of({{"fe/*"}, {}}, Count::kOne),
            Names{"`fe/*` fits 3 backends: fe/fe11, fe/fe12, fe/fe13; name one, or give --all"});
}

TEST(Selector, StarsMatchAnyCharacters) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("a*c", "abbc"));
  EXPECT_TRUE(matches("a*b*c", "axbxbxc"));
  EXPECT_FALSE(matches("a*c", "abb"));
  EXPECT_FALSE(matches("", "a"));
  EXPECT_TRUE(matches("fe1*", "fe11"));
}

}  // namespace
}  // namespace lb::ctl
