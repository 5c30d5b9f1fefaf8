#include "ctl/history.h"

#include <gtest/gtest.h>

#include "ctl/digest.h"
#include "ctl/log.h"
#include "ctl/state_store.h"
#include "tests/unit/ctl/fakes.h"

namespace lb::ctl {
namespace {

model::Config config_of(const std::string& pools) {
  return model::parse_config("version: 1\npools: " + pools + "\n", "test", model::no_includes()).config;
}

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() : before_(set_log_sink([this](LogLevel, const std::string& line) { logged_ += line + '\n'; })) {}
  ~HistoryTest() override { set_log_sink(before_); }

  // One more revision, as the controller makes it.
  void step(StateStore& store, const model::Config& to) {
    const model::Diff diff = model::diff(now_, to);
    State state;
    state.revision = store.history().last() + 1;
    state.uid = 1000;
    state.command = "test";
    state.reason = "step " + std::to_string(state.revision);
    state.time_s = 1'700'000'000 + static_cast<int64_t>(state.revision);
    state.config_text = model::print_services(to);
    state.digest = digest_hex(state.config_text);
    ASSERT_TRUE(store.prepare(state));
    ASSERT_TRUE(store.commit());
    EXPECT_EQ(store.history().add(state, diff), "");
    now_ = to;
  }
  static model::Config weight(uint32_t w, const std::string& more = "") {
    return config_of("{fe: {backends: [{name: a, address: 10.0.0.1, weight: " + std::to_string(w) + "}" + more + "]}}");
  }
  static std::vector<uint64_t> numbers(const History& history) {
    std::vector<uint64_t> list;
    for (const HistoryEntry* e : history.entries()) list.push_back(e->revision);
    return list;
  }

  std::string logged_;
  LogSink before_;
  TempDir dir_;
  FaultyFiles files_;
  model::Config now_;
};

TEST_F(HistoryTest, KeepsEveryFormerRevisionAndTellsWhatItWas) {
  StateStore store(dir_.path(), files_);
  ASSERT_TRUE(store.open());
  for (uint32_t w = 1; w <= 3; w++) step(store, weight(w));
  EXPECT_EQ(numbers(store.history()), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(store.history().entry(2)->first, "~ backend fe/a: weight 1 -> 2");
  EXPECT_EQ(store.history().entry(2)->reason, "step 2");
  ASSERT_TRUE(store.former(1));
  EXPECT_NE(store.former(1)->config_text.find("weight: 1"), std::string::npos);
  EXPECT_EQ(store.former(1)->reason, "step 1");
  EXPECT_EQ(store.former(4).error().message, "there is no revision 4: the current one is 3");
  EXPECT_EQ(store.former(3).error().code, net::Code::kNotFound) << "the current one is state.json";
}

TEST_F(HistoryTest, IsTheSameAfterARestart) {
  std::vector<HistoryEntry> before;
  {
    StateStore store(dir_.path(), files_);
    ASSERT_TRUE(store.open());
    step(store, weight(1));
    step(store, weight(2, ", {name: b, address: 10.0.0.2}"));
    step(store, weight(2));
    for (const HistoryEntry* e : store.history().entries()) before.push_back(*e);
  }
  StateStore store(dir_.path(), files_);
  ASSERT_TRUE(store.open());
  ASSERT_TRUE(store.load()->state);
  std::vector<HistoryEntry> after;
  for (const HistoryEntry* e : store.history().entries()) after.push_back(*e);
  EXPECT_EQ(after, before);
  const auto& touched = store.history().touched();
  EXPECT_EQ(touched.at("backend fe/a").revision, 2u);
  EXPECT_EQ(touched.at("backend fe/b").revision, 3u);
  EXPECT_TRUE(touched.at("backend fe/b").removed);
  EXPECT_EQ(touched.at("pool fe").revision, 1u);
  step(store, weight(5));
  EXPECT_EQ(store.former(3)->reason, "step 3") << "what was in place before the restart got its name, too";
}

TEST_F(HistoryTest, WhatTheIndexLacksIsReadFromTheStates) {
  {
    StateStore store(dir_.path(), files_);
    ASSERT_TRUE(store.open());
    for (uint32_t w = 1; w <= 3; w++) step(store, weight(w));
  }
  spill(dir_ / "history/index.jsonl", "{\"revision\": 2, \"cut sh\nnonsense\n");
  StateStore store(dir_.path(), files_);
  ASSERT_TRUE(store.open());
  EXPECT_EQ(numbers(store.history()), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(store.history().entry(2)->reason, "step 2");
  EXPECT_NE(logged_.find("history_line_skipped"), std::string::npos);
}

TEST_F(HistoryTest, DropsTheOldestBeyondItsLimitsAndSaysSo) {
  StateStore store(dir_.path(), files_);
  ASSERT_TRUE(store.open());
  step(store, weight(1, ", {name: b, address: 10.0.0.2}"));
  History small(dir_ / "small", files_, {.revisions = 3, .bytes = kMaxHistoryBytes});
  ASSERT_TRUE(small.open());
  Revision r;
  for (r.revision = 1; r.revision <= 6; r.revision++) {
    if (r.revision > 1) {
      ASSERT_TRUE(small.keep(store.path(), r.revision - 1));
    }
    const auto old = weight(static_cast<uint32_t>(r.revision)), now = weight(static_cast<uint32_t>(r.revision) + 1);
    EXPECT_EQ(small.add(r, r.revision == 1 ? model::diff({}, now) : model::diff(old, now)), "");
  }
  EXPECT_EQ(numbers(small), (std::vector<uint64_t>{4, 5, 6}));
  EXPECT_EQ(small.not_kept(2).message,
            "revision 2 is not kept any more: the oldest one is 4, see `lbctl config history`");
  EXPECT_FALSE(std::filesystem::exists(small.path_of(3)));
  // Who made the pool is known longer than what was there then.
  EXPECT_EQ(small.touched().at("pool fe").revision, 1u);
  EXPECT_NE(small.entry(1), nullptr);
  EXPECT_EQ(small.entry(2), nullptr);

  History tiny(dir_ / "tiny", files_, {.revisions = 500, .bytes = 1});
  ASSERT_TRUE(tiny.open());
  for (r.revision = 1; r.revision <= 3; r.revision++) {
    if (r.revision > 1) {
      ASSERT_TRUE(tiny.keep(store.path(), r.revision - 1));
    }
    EXPECT_EQ(tiny.add(r, {}), "");
  }
  EXPECT_EQ(numbers(tiny), (std::vector<uint64_t>{3}));
}

// Whatever fails, the revision in place is whole and none of the former ones is lost.
TEST_F(HistoryTest, SurvivesEveryFailure) {
  for (int at = 1;; at++) {
    TempDir dir;
    FaultyFiles files;
    now_ = {};
    StateStore store(dir.path(), files);
    ASSERT_TRUE(store.open());
    step(store, weight(1));
    step(store, weight(2));
    State next = *store.load()->state;
    next.revision = 3;
    files.count = 0;
    files.fail_at = at;
    const bool done = store.prepare(next) && store.commit().has_value();
    const bool none_failed = files.count < at;
    files.fail_at = 0;
    StateStore again(dir.path() + "", files);
    auto loaded = again.load();
    ASSERT_TRUE(loaded);
    ASSERT_TRUE(loaded->state);
    ASSERT_EQ(loaded->state->revision, done ? 3u : 2u) << "failure " << at;
    ASSERT_TRUE(store.former(1)) << "failure " << at;
    if (done) {
      ASSERT_TRUE(store.former(2)) << "failure " << at;
    }
    if (none_failed) break;
  }
}

TEST_F(HistoryTest, AnIndexThatCannotBeWrittenIsSaid) {
  StateStore store(dir_.path(), files_);
  ASSERT_TRUE(store.open());
  step(store, weight(1));
  Revision r;
  r.revision = 2;
  files_.count = 0;
  files_.fail_at = 2;  // open, write
  EXPECT_EQ(store.history().add(r, {}), "history is not complete after a restart: cannot write " +
                                            (dir_ / "history/index.jsonl") + ": Input/output error");
}

}  // namespace
}  // namespace lb::ctl
