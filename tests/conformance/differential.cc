// The pipeline and the XDP program do the same: 100,000 generated frames of 14 to 1,900 bytes in each of the program's
// two forms, half of them mutated, fragments and ICMP errors among them, over small flow tables and changing
// configurations. LBD_SEED=N repeats a run,
// LBD_LONG=yes makes it ten times as long. What is different is printed with the fewest events that show it.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "dataplane/model/counters.h"
#include "tests/conformance/duel_events.h"

namespace lb::conformance {
namespace {

constexpr size_t kEventsOfAnEpisode = 11'200, kFramesOfARun = 100'000;

uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("LBD_SEED");
    const uint64_t s = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("LBD_SEED=%llu\n", static_cast<unsigned long long>(s));
    return s;
  }();
  return value;
}
size_t frames_of_a_run() {
  const char* given = std::getenv("LBD_LONG");
  return given != nullptr && std::string_view(given) == "yes" ? 10 * kFramesOfARun : kFramesOfARun;
}

void fail(Duel& duel, const std::vector<Event>& events, const std::string& difference) {
  const Reduced r = reduce(duel, events);
  std::string text;
  for (const Event& e : r.events) text += describe(e);
  FAIL() << difference << "\nLBD_SEED=" << seed() << ", event " << events.size() << " of its episode. "
         << r.events.size() << " events show: " << r.difference << "\n"
         << text;
}

using Counters = std::array<uint64_t, LB_COUNT_MAX>;

// What the program of that form is given, until something is different. RETURNS: frames.
void run(bool is_shared, Counters& sum) {
  const auto snapshots = changing_worlds();
  const size_t worlds = snapshots.size();
  Duel duel(snapshots, is_shared);
  const size_t frames = frames_of_a_run();
  size_t done = 0;
  for (uint64_t episode = 0; done < frames; episode++) {
    Events generator(seed() * 1'000'003 + 2 * episode + (is_shared ? 1 : 0), worlds, episode % 2 == 0);
    std::vector<Event> events;
    duel.restart();
    while (events.size() < kEventsOfAnEpisode && done < frames) {
      events.push_back(generator.next());
      done += events.back().kind == Event::Kind::kFrame;
      const std::string difference = duel.play(events.back());
      if (!difference.empty()) return fail(duel, events, difference);
    }
    ASSERT_EQ(duel.compare_traffic(), "") << "LBD_SEED=" << seed();
    const Counters some = duel.counters();
    for (size_t i = 0; i < sum.size(); i++) sum[i] += some[i];
    duel.keep_former();
  }
}

// A run in which something never happens shows nothing of it.
void expect_all_reached(const Counters& sum) {
  for (const model::CounterInfo& c : model::counters()) {
    if (c.id == LB_COUNT_NoHeadroom || c.id == LB_COUNT_ExceptionFull || c.id == LB_COUNT_HandoffFull ||
        c.id == LB_COUNT_EchoLimited)
      continue;  // of a driver's buffers, of rings, and of a thousand echo requests at once
    EXPECT_GT(sum[c.id], 0u) << c.name << " was never counted";
  }
  std::printf("%llu frames, of which by the exception path %llu\n",
              static_cast<unsigned long long>(sum[LB_COUNT_RxPackets]),
              static_cast<unsigned long long>(sum[LB_COUNT_HandedOut]));
}

class Differential : public testing::TestWithParam<bool> {};

TEST_P(Differential, PipelineAndProgramDoTheSame) {
  if (const std::string why = why_no_xdp(); !why.empty()) GTEST_SKIP() << why;
  Counters sum{};
  run(GetParam(), sum);
  if (!HasFailure()) expect_all_reached(sum);
}
INSTANTIATE_TEST_SUITE_P(Modes, Differential, testing::Values(false, true),
                         [](const auto& p) { return p.param ? "Generic" : "Native"; });

}  // namespace
}  // namespace lb::conformance
