// Words of other products lead to words of ours.
#include <gtest/gtest.h>

#include "dataplane/model/foreign_words.h"

namespace lb::model {
namespace {

constexpr Section kAllSections[] = {Section::kTop,     Section::kDaemon,    Section::kDpdk,     Section::kPort,
                                    Section::kXdp,     Section::kInterface, Section::kDefaults, Section::kPool,
                                    Section::kBackend, Section::kService,   Section::kAccess};

bool is_ours(std::string_view key) {
  for (const Section section : kAllSections) {
    for (const std::string_view known : known_keys(section))
      if (known == key) return true;
    if (refuse_key(section, key) == "`" + std::string(key) + "` is not in this version: leave it out") return true;
  }
  return false;
}

TEST(ForeignWords, KeysLeadToKeysAndErrorsSaySo) {
  for (const ForeignWord& f : foreign_keys()) {
    EXPECT_TRUE(is_ours(f.here)) << f.here;
    bool told = false;
    for (const Section section : kAllSections) {
      const auto known = known_keys(section);
      if (std::find(known.begin(), known.end(), f.word) != known.end()) continue;
      told |= refuse_key(section, f.word).find("`" + std::string(f.here) + "`") != std::string::npos;
    }
    EXPECT_TRUE(told) << f.word;
  }
}

TEST(ForeignWords, ValuesLeadToValues) {
  for (const Choice choice :
       {Choice::kForward, Choice::kSchedule, Choice::kNoListener, Choice::kIdle, Choice::kHugePages, Choice::kXdpMode})
    for (const ForeignWord& f : foreign_words(choice))
      EXPECT_NE(refuse_word(choice, f.word).find("is `" + std::string(f.here) + "` here"), std::string::npos)
          << f.word << ": " << refuse_word(choice, f.word);
}

TEST(ForeignWords, SpellingDoesNotCount) {
  EXPECT_EQ(refuse_key(Section::kService, "LB_Algo"), "`LB_Algo` is `schedule` here");
  EXPECT_EQ(refuse_key(Section::kService, "lb-algo"), "`lb-algo` is `schedule` here");
  EXPECT_EQ(refuse_key(Section::kPool, "sorry_server").substr(0, 32), "`sorry_server` is `backup` here,");
}

}  // namespace
}  // namespace lb::model
