#include "dataplane/net/flow_bucket.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "dataplane/net/flow_line.h"

namespace lb::net {
namespace {

constexpr uint64_t kNow = 1'000'000'000;

lb_flow_line random_line(std::mt19937_64& random, uint64_t now) {
  lb_flow_line line{};
  for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++) {
    line.tag[e] = static_cast<uint16_t>(random() % 3);  // few values, so that there are matches
    line.tag2[e] = static_cast<uint16_t>(random() % 3 == 0 ? 0x8001 : 1);
    line.backend[e] = static_cast<uint16_t>(random());
    const auto what = static_cast<uint32_t>(random() % 7);
    if (what == LB_FLOW_FREE) continue;
    line.state[e] = lb_flow_state(what, now - random() % 1'100'000);
    if (random() % 4 == 0) line.state[e] = lb_flow_state(what, now - random() % 40'000);
  }
  return line;
}

TEST(FlowBucket, MatchesTheSameInEveryForm) {
  std::mt19937_64 random(1);
  for (int n = 0; n < 200'000; n++) {
    const lb_flow_line line = random_line(random, kNow);
    const auto tags = static_cast<uint32_t>(random() % 3 | (random() % 2 == 0 ? 0x80010000u : 0x00010000u));
    const uint32_t plain = lb_flow_match_plain(&line, tags);
    ASSERT_EQ(plain, lb_flow_match_words(&line, tags));
    ASSERT_EQ(plain, match_flow(line, tags));
  }
}

// A form that lets a borrow run into the next lane would find entry k + 1 when k matches and k + 1 differs by one bit.
TEST(FlowBucket, MatchesNoNeighbour) {
  lb_flow_line line{};
  for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++) {
    line.tag[e] = 0x1234 ^ 1;
    line.state[e] = lb_flow_state(LB_FLOW_ESTABLISHED, kNow);
  }
  line.tag[2] = 0x1234;
  EXPECT_EQ(1u << 2, lb_flow_match_words(&line, 0x1234));
  EXPECT_EQ(1u << 2, match_flow(line, 0x1234));
}

TEST(FlowBucket, FindsTheSameVictimInEveryForm) {
  std::mt19937_64 random(2);
  for (int n = 0; n < 200'000; n++) {
    const lb_flow_line line = random_line(random, kNow);
    const uint32_t plain = lb_flow_victim_plain(&line, kNow), vector = flow_victim(line, kNow);
    ASSERT_EQ(plain >> 16, vector >> 16);
    ASSERT_EQ(plain & 0xffff, vector & 0xffff);
  }
}

TEST(FlowBucket, FindsWhatTimedOut) {
  std::mt19937_64 random(3);
  for (int n = 0; n < 200'000; n++) {
    const lb_flow_line line = random_line(random, kNow);
    uint32_t plain = 0;
    for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++) {
      const uint16_t s = line.state[e];
      if (s != 0 && lb_flow_class_of(s) != LB_FLOW_STALE && !lb_flow_is_live(s, kNow)) plain |= 1u << e;
    }
    ASSERT_EQ(plain, flows_timed_out(line, kNow));
  }
}

struct Order {
  uint32_t what;
  uint64_t age_ms;
};

// Free, timed out, once, closing, the rest; the older one first in each. (Those whose time is over lie on clocks of
// different steps: any of them will do.)
TEST(FlowBucket, PrefersTheLeastHarm) {
  const Order order[] = {{LB_FLOW_FREE, 0},
                         {LB_FLOW_ONCE, 31'000},
                         {LB_FLOW_ESTABLISHED, 950'000},
                         {LB_FLOW_UDP, 100'000},
                         {LB_FLOW_STALE, 0},
                         {LB_FLOW_ONCE, 29'000},
                         {LB_FLOW_ONCE, 0},
                         {LB_FLOW_RESET, 50'000},
                         {LB_FLOW_CLOSING, 0},
                         {LB_FLOW_ESTABLISHED, 60'000},
                         {LB_FLOW_UDP, 50'000},
                         {LB_FLOW_ESTABLISHED, 0}};
  uint32_t before = 0;
  bool first = true;
  for (const Order& o : order) {
    const uint16_t state = o.what == LB_FLOW_FREE ? uint16_t{0} : lb_flow_state(o.what, kNow - o.age_ms);
    const uint32_t harm = lb_flow_harm(state, kNow);
    if (!first) {
      EXPECT_LT(before, harm) << "class " << o.what << " age " << o.age_ms;
    }
    before = harm;
    first = false;
  }
}

TEST(FlowBucket, RisesOnlyAfterAQuarterOfASecond) {
  const uint16_t once = lb_flow_state(LB_FLOW_ONCE, kNow);
  for (const uint64_t ms : {0, 8, 100, 200, 248}) {
    EXPECT_EQ(once, lb_flow_next(once, 1, LB_TCP_ACK, kNow + ms)) << ms;
    EXPECT_EQ(once, lb_flow_next(once, 0, 0, kNow + ms)) << ms;
    EXPECT_EQ(once, lb_flow_next(once, 1, LB_TCP_FIN | LB_TCP_ACK, kNow + ms)) << ms;
  }
  EXPECT_EQ(uint32_t{LB_FLOW_ESTABLISHED}, lb_flow_class_of(lb_flow_next(once, 1, LB_TCP_ACK, kNow + 256)));
  EXPECT_EQ(uint32_t{LB_FLOW_UDP}, lb_flow_class_of(lb_flow_next(once, 0, 0, kNow + 256)));
  EXPECT_EQ(uint32_t{LB_FLOW_CLOSING}, lb_flow_class_of(lb_flow_next(once, 1, LB_TCP_FIN, kNow + 256)));
  EXPECT_EQ(once, lb_flow_next(once, 1, LB_TCP_RST, kNow + 256));
}

TEST(FlowBucket, IsRestoredAfterASpoofedEnd) {
  const uint16_t open = lb_flow_state(LB_FLOW_ESTABLISHED, kNow);
  const uint16_t reset = lb_flow_next(open, 1, LB_TCP_RST | LB_TCP_ACK, kNow);
  EXPECT_EQ(uint32_t{LB_FLOW_RESET}, lb_flow_class_of(reset));
  EXPECT_EQ(open, lb_flow_next(reset, 1, LB_TCP_ACK, kNow));
  const uint16_t closing = lb_flow_next(open, 1, LB_TCP_FIN | LB_TCP_ACK, kNow);
  EXPECT_EQ(uint32_t{LB_FLOW_CLOSING}, lb_flow_class_of(closing));
  EXPECT_EQ(closing, lb_flow_next(closing, 1, LB_TCP_ACK, kNow));
  EXPECT_EQ(open, lb_flow_next(closing, 1, LB_TCP_ACK | LB_FLOW_PAYLOAD, kNow));
  EXPECT_EQ(closing, lb_flow_next(closing, 1, LB_TCP_RST, kNow));
}

TEST(FlowBucket, MeetsASynAsTheRulesSay) {
  const auto on = [](uint32_t what, uint64_t age, bool eligible) {
    return lb_flow_on_syn(lb_flow_state(what, kNow - age), eligible, kNow);
  };
  EXPECT_EQ(LB_FLOW_SYN_KEEP, on(LB_FLOW_ONCE, 900, false));
  EXPECT_EQ(LB_FLOW_SYN_CHOOSE, on(LB_FLOW_ONCE, 1'100, false));
  EXPECT_EQ(LB_FLOW_SYN_KEEP, on(LB_FLOW_ONCE, 20'000, true));
  EXPECT_EQ(LB_FLOW_SYN_CHOOSE, on(LB_FLOW_ONCE, 31'000, false));
  EXPECT_EQ(LB_FLOW_SYN_BEGIN, on(LB_FLOW_ONCE, 31'000, true));
  EXPECT_EQ(LB_FLOW_SYN_KEEP, on(LB_FLOW_ESTABLISHED, 9'000, false));
  EXPECT_EQ(LB_FLOW_SYN_CHOOSE, on(LB_FLOW_ESTABLISHED, 11'000, false));
  EXPECT_EQ(LB_FLOW_SYN_KEEP, on(LB_FLOW_ESTABLISHED, 800'000, true));
  EXPECT_EQ(LB_FLOW_SYN_BEGIN, on(LB_FLOW_CLOSING, 0, true));
  EXPECT_EQ(LB_FLOW_SYN_CHOOSE, on(LB_FLOW_RESET, 0, false));
}

// The two lines of a flow, and lines and tags together, must not hang together: else the second line would be as full
// as the first, or tags tell less than they seem to.
TEST(FlowBucket, SpreadsLinesEvenlyAndIndependently) {
  constexpr uint32_t kLines = 64, kFlows = 1 << 18;
  std::vector<uint32_t> pairs(kLines * kLines), tags(kLines * 16);
  std::mt19937_64 random(4);
  for (uint32_t n = 0; n < kFlows; n++) {
    const uint64_t hash = random();
    const uint32_t one = lb_flow_first_line(hash, kLines), two = lb_flow_second_line(hash, kLines);
    ASSERT_LT(one, kLines);
    ASSERT_LT(two, kLines);
    pairs[one * kLines + two]++;
    tags[one * 16 + (hash & 15)]++;
  }
  const auto chi = [](const std::vector<uint32_t>& cells) {
    const double expected = static_cast<double>(kFlows) / static_cast<double>(cells.size());
    double sum = 0;
    for (const uint32_t c : cells) sum += (c - expected) * (c - expected) / expected;
    return sum / static_cast<double>(cells.size() - 1);
  };
  EXPECT_NEAR(1.0, chi(pairs), 0.1);
  EXPECT_NEAR(1.0, chi(tags), 0.2);
}

TEST(FlowBucket, TellsARecordThatIsBeingWritten) {
  lb_flow_cold cold{}, read{};
  EXPECT_FALSE(read_cold(cold, read));
  lb_flow_cold record{};
  record.hash = 7;
  record.sport = 80;
  record.start_ms = kNow;
  write_cold(cold, record);
  ASSERT_TRUE(read_cold(cold, read));
  EXPECT_EQ(0, std::memcmp(&record, &read, offsetof(lb_flow_cold, check)));
}

// The words of one flow's record arrive in any order over those of another: whatever is there meanwhile is no flow.
TEST(FlowBucket, TakesNoMixtureOfTwoRecordsForOne) {
  lb_flow_cold old{}, now{}, read{};
  old.hash = 0x0123456789abcdefull;
  now.hash = 0xfedcba9876543210ull;
  old.src.b[15] = 1;
  now.src.b[15] = 2;
  old.dst.b[15] = 3;
  now.dst.b[15] = 4;
  old.sport = 5;
  now.sport = 6;
  old.start_ms = kNow;
  now.start_ms = kNow + 1;
  write_cold(old, lb_flow_cold(old));
  write_cold(now, lb_flow_cold(now));
  for (uint32_t mask = 0; mask < 256; mask++) {
    lb_flow_cold mixed{};
    for (uint32_t w = 0; w < 8; w++)
      std::memcpy(reinterpret_cast<uint8_t*>(&mixed) + 8 * w,
                  reinterpret_cast<const uint8_t*>((mask >> w & 1) != 0 ? &now : &old) + 8 * w, 8);
    const bool is_old = std::memcmp(&mixed, &old, sizeof old) == 0, is_now = std::memcmp(&mixed, &now, sizeof now) == 0;
    EXPECT_EQ(is_old || is_now, read_cold(mixed, read)) << mask;
  }
}

}  // namespace
}  // namespace lb::net
