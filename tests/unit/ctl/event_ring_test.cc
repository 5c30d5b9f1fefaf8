#include "ctl/event_ring.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/ctl/fakes.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

class EventRingTest : public testing::Test {
 protected:
  std::unique_ptr<EventRing> ring(size_t bytes = size_t{4} << 20) {
    auto it = std::make_unique<EventRing>(dir_ / "events", files_, EventRing::Limits{bytes});
    EXPECT_TRUE(it->open());
    it->set_clock([this] { return now_ms_; });
    return it;
  }
  static void add(EventRing& ring, std::string_view event, std::initializer_list<LogField> fields = {}) {
    ring.add(LogLevel::kInfo, event, {fields.begin(), fields.size()});
  }
  static std::vector<std::string> names(const EventRing& ring) {
    std::vector<std::string> list;
    for (const RingEvent& e : ring.events()) list.push_back(Json::parse(e.line)["event"]);
    return list;
  }

  TempDir dir_;
  FaultyFiles files_;
  int64_t now_ms_ = 1'700'000'000'123;
};

TEST_F(EventRingTest, SaysWhatTheLogSays) {
  const auto it = ring();
  it->add(LogLevel::kWarning, "backend_not_eligible",
          std::vector<LogField>{{"pool", "fe"}, {"why", "no \"route\"\n"}, {"n", 7}, {"text", "7"}});
  ASSERT_EQ(it->events().size(), 1u);
  EXPECT_EQ(Json::parse(it->events()[0].line),
            Json({{"number", 1},
                  {"time_ms", 1'700'000'000'123},
                  {"level", "warning"},
                  {"event", "backend_not_eligible"},
                  {"fields", {{"pool", "fe"}, {"why", "no \"route\"\n"}, {"n", 7}, {"text", "7"}}}}));
}

TEST_F(EventRingTest, GoesOnWhereItWasAfterARestart) {
  {
    const auto it = ring();
    add(*it, "one");
    add(*it, "two");
  }
  const auto it = ring();
  add(*it, "three");
  EXPECT_EQ(names(*it), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(it->last(), 3u);
}

TEST_F(EventRingTest, IsBoundedOnDiskAndInMemory) {
  const size_t kBytes = 2000;
  auto it = ring(kBytes);
  for (int i = 0; i < 1000; i++) add(*it, "event" + std::to_string(i));
  EXPECT_GE(it->events().size(), kBytes / 110);
  EXPECT_LE(it->events().size(), 2 * kBytes / 60 + 2);
  EXPECT_EQ(names(*it).back(), "event999");
  size_t on_disk = 0;
  for (const auto& f : std::filesystem::directory_iterator(dir_ / "events")) on_disk += f.file_size();
  EXPECT_LE(on_disk, 2 * kBytes + 200);
  const auto before = names(*it);
  it = ring(kBytes);
  EXPECT_EQ(names(*it), before) << "the same after a restart";
  EXPECT_EQ(it->last(), 1000u);
}

TEST_F(EventRingTest, ADamagedLineCostsItself) {
  {
    const auto it = ring();
    add(*it, "one");
    add(*it, "two");
  }
  const std::string path = dir_ / "events/current.jsonl";
  std::string text = slurp(path);
  text.insert(text.find('\n') + 1, "{\"number\": \"x\"}\nnonsense\n");
  spill(path, text.substr(0, text.size() - 10));  // and the last one is cut short
  const auto it = ring();
  EXPECT_EQ(names(*it), (std::vector<std::string>{"one"}));
  add(*it, "three");
  EXPECT_EQ(names(*ring()), (std::vector<std::string>{"one", "three"})) << "it began a line of its own";
}

TEST_F(EventRingTest, AFullDiskIsSaidAndOver) {
  const auto it = ring();
  add(*it, "one");
  files_.error = ENOSPC;
  files_.fail_at = files_.count + 1;
  add(*it, "two");
  EXPECT_EQ(it->why_not_kept().find("cannot write " + (dir_ / "events/current.jsonl")), 0u) << it->why_not_kept();
  EXPECT_EQ(names(*it), (std::vector<std::string>{"one", "two"})) << "in memory it is";
  add(*it, "three");
  EXPECT_EQ(it->why_not_kept(), "");
}

TEST(Log, TellsAnObserverWhatItWrites) {
  std::string seen;
  LogSink before = set_log_sink([](LogLevel, const std::string&) {});
  set_log_observer([&](LogLevel level, std::string_view event, std::span<const LogField> fields) {
    seen += std::string(level_name(level)) + ' ' + std::string(event) + ' ' + std::to_string(fields.size()) + '\n';
  });
  log(LogLevel::kInfo, "one", {{"a", 1}, {"b", "x"}});
  log(LogLevel::kDebug, "two");
  set_log_observer({});
  log(LogLevel::kInfo, "three");
  set_log_sink(before);
  EXPECT_EQ(seen, "info one 2\n");
}

}  // namespace
}  // namespace lb::ctl
