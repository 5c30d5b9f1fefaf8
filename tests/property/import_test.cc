// Configurations of other products, changed at random: no crash, and what comes out is one of lbd, or a sentence.
#include <gtest/gtest.h>

#include "tests/property/random.h"
#include "tests/unit/import/fixtures.h"

namespace lb::importing {
namespace {

using property::Random;

std::string piece_of(const std::string& text, Random& random) {
  if (text.empty()) return "";
  const size_t from = random.below(static_cast<uint32_t>(text.size()));
  return text.substr(from, random.below(80));
}

// A few changes: bytes, pieces that go, pieces of this and of another file that come.
std::string changed(std::string text, const std::vector<Fixture>& all, Random& random) {
  static constexpr std::string_view kWords[] = {"{",    "}",      ";",      "\"",   "'",   "\\", "\n",  "$",
                                                "${",   ":",      "[",      "]",    "-",   "#",  " 0 ", " 99999999999 ",
                                                "*:80", "weight", "server", "\xff", "\xc3"};
  for (uint32_t i = random.below(12) + 1; i > 0; --i) {
    const size_t at = text.empty() ? 0 : random.below(static_cast<uint32_t>(text.size()));
    switch (random.below(5)) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(random.below(256));
        break;
      case 1:
        text.erase(at, random.below(60));
        break;
      case 2:
        text.insert(at, kWords[random.below(std::size(kWords))]);
        break;
      case 3:
        text.insert(at, piece_of(text, random));
        break;
      default:
        text.insert(at, piece_of(all[random.below(static_cast<uint32_t>(all.size()))].text, random));
    }
  }
  return text;
}

TEST(ImportProperty, WhateverComesInAConfigurationOrASentenceComesOut) {
  const auto all = fixtures();
  ASSERT_FALSE(all.empty());
  size_t taken = 0;
  for (uint64_t round = 0; round < 2000; ++round) {
    Random random(round);
    const Fixture& f = all[random.below(static_cast<uint32_t>(all.size()))];
    const std::string text = changed(f.text, all, random);
    const auto outcome = import_text(*f.format, text, "f", {}, model::no_includes());
    if (!outcome) {
      EXPECT_FALSE(outcome.error().message.empty());
      // That a document of ours is refused by our own parser is a fault of the importer.
      EXPECT_EQ(outcome.error().message.find("cannot be imported as a whole"), std::string::npos)
          << "round " << round << ": " << outcome.error().message << "\n"
          << text;
      continue;
    }
    ++taken;
    const model::Parsed parsed = model::parse_config(outcome->text, "out", model::no_includes());
    ASSERT_TRUE(parsed.problems.empty()) << "round " << round << ": " << parsed.problems[0].to_string() << "\n" << text;
    ASSERT_EQ(parsed.config.services.size(), outcome->services) << "round " << round;
    for (const std::string& sentence : outcome->missing)
      ASSERT_EQ(sentence.find('\n'), std::string::npos) << "round " << round;
  }
  EXPECT_GT(taken, 200u);
}

}  // namespace
}  // namespace lb::importing
