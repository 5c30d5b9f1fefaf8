// The pipeline and the XDP program side by side over the same frames, tables, clock and configurations, in the order
// in which a worker would meet them: verdict, reason, bytes, egress, counters, traffic and flow tables are the same.
// LBD_SEED=N repeats a run, LBD_LONG=yes makes it ten times as long.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>

#include "dataplane/model/counters.h"
#include "dataplane/stages/count.h"
#include "tests/conformance/xdp_rig.h"
#include "tests/property/frames.h"
#include "tests/property/table_memory.h"

namespace lb::conformance {
namespace {

constexpr uint64_t kStart = 1'000'000;
constexpr uint32_t kLines = 16;         // of each table: few, so that flows are evicted all the time
constexpr uint32_t kPerSnapshot = 500;  // frames between two configurations, on average
constexpr uint64_t kMostBytes = 1900;

uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("LBD_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  }();
  return value;
}

uint32_t frames_of_a_run() {
  const char* given = std::getenv("LBD_LONG");
  const std::string_view text = given != nullptr ? given : "";
  return text == "yes" || text == "1" ? 1'000'000 : 100'000;
}

// A worker and the exception path's, as the pipeline runs them over one pair of tables.
struct Workers {
  Workers(const stages::FlowTable& a, const stages::FlowTable& b)
      : others_of_own{b},
        others_of_exception{a},
        own(a, others_of_own, state.counters),
        exception(b, others_of_exception, exception_state.counters) {}
  void tick(uint64_t now_ms) {
    own.tick(now_ms, nullptr);
    exception.tick(now_ms, nullptr);
  }
  StepOutcome run(const packet::Bytes& frame, const model::Snapshot& snapshot, bool handed_out) {
    LoneFrame lone(frame, kHeadroom);
    stages::run(lone.batch(), snapshot, handed_out ? &exception : &own);
    if (handed_out) {
      stages::count_verdicts(lone.batch(), 1, exception_state);
    } else {
      stages::count(lone.batch(), 1, frame.size(), state);
    }
    return {lone.batch().verdict[0], static_cast<Drop>(lone.batch().reason[0]), lone.bytes(), lone.batch().egress[0]};
  }

  std::array<stages::FlowTable, 1> others_of_own, others_of_exception;
  stages::WorkerState state, exception_state;
  stages::FlowTracker own, exception;
};

// What the program leaves to the exception path, if it is ours: by the bytes alone.
bool is_unusual(const packet::Bytes& f) {
  size_t at = 12;
  for (int tags = 0; tags < 2 && f.size() >= at + 6; tags++) {
    const uint32_t type = static_cast<uint32_t>(f[at] << 8 | f[at + 1]);
    if (type != 0x8100 && type != 0x88a8) break;
    at += 4;
  }
  at += 2;
  if (f.size() < at + 20) return false;
  if (f[at] >> 4 == 4) return (f[at] & 15) > 5;
  if (f.size() < at + 40 || f[at] >> 4 != 6) return false;
  constexpr uint8_t kExtensions[] = {0, 43, 44, 51, 60, 135};
  return std::ranges::find(kExtensions, f[at + 6]) != std::end(kExtensions);
}

class Differential : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_xdp(); !why.empty()) GTEST_SKIP() << why;
    rig_ = std::make_unique<XdpRig>(XdpShape{.lines = kLines});
    ours_ = std::make_unique<Workers>(own_.view(), exception_.view());
    theirs_ = std::make_unique<Workers>(rig_->table(0), rig_->table(1));
    rig_->set_start(kStart);
    forwarded_ = property::seeds(Verdict::kForward);
    all_ = property::seeds(Verdict::kNone);
    next_snapshot();
    advance(0);
  }

  void advance(uint64_t by_ms) {
    now_ms_ += by_ms;
    rig_->set_clock(now_ms_);
    ours_->tick(now_ms_);
    theirs_->tick(now_ms_);  // its own half is lbd's sweep of the program's table
  }

  // Weights, drains and removals in the pool of several backends.
  void next_snapshot() {
    World w = edge();
    auto& backends = w.config.pools["many"].backends;
    for (auto& b : backends)
      b.weight = property::pick(random_, 4) == 0 ? 0 : 1 + static_cast<uint32_t>(property::pick(random_, 200));
    if (property::pick(random_, 3) == 0)
      backends.erase(backends.begin() + static_cast<long>(property::pick(random_, 3)));
    ASSERT_TRUE(ids_.assign(w.config));
    auto made = compiler_.compile(w.config, w.topology, ids_, net::Generation{++generation_});
    ASSERT_TRUE(made);
    snapshot_ = *made;
    rig_->publish(snapshot_);
  }

  packet::Bytes flow_packet() {
    static constexpr uint8_t kFlags[] = {0x02, 0x10, 0x10, 0x10, 0x18, 0x11, 0x04, 0x14, 0x12, 0x00};
    static const char* const kTo4[] = {"192.0.2.60", "192.0.2.61", "192.0.2.62", "192.0.2.10"};
    static const char* const kTo6[] = {"2001:db8::60", "2001:db8::61", "2001:db8::10"};
    const auto sport = static_cast<uint16_t>(1024 + property::pick(random_, 120));
    packet::Packet p = packet::eth();
    if (property::pick(random_, 8) == 0) p.vlan(5);
    if (property::pick(random_, 3) == 0) {
      p.ip6("2001:db8:f::7", kTo6[property::pick(random_, 3)]);
    } else {
      p.ip4("198.51.100.7", kTo4[property::pick(random_, 4)],
            {.options = property::pick(random_, 12) == 0 ? packet::Bytes{1, 1, 1, 1} : packet::Bytes{}});
    }
    p.tcp(sport, 80, {.flags = kFlags[property::pick(random_, std::size(kFlags))]});
    p.payload_size(property::pick(random_, property::pick(random_, 10) == 0 ? 1700 : 3));
    return p.bytes();
  }
  packet::Bytes next_frame() {
    const uint64_t kind = property::pick(random_, 10);
    packet::Bytes f = kind < 5   ? flow_packet()
                      : kind < 9 ? forwarded_[property::pick(random_, forwarded_.size())]
                                 : all_[property::pick(random_, all_.size())];
    if (property::pick(random_, 2) == 0) f = property::mutate(std::move(f), random_);
    if (f.size() < kLeastXdpFrame || f.size() > kMostBytes)
      f.resize(std::clamp<size_t>(f.size(), kLeastXdpFrame, kMostBytes));
    return f;
  }

  // Empty when both did the same to it.
  std::string run_one(const packet::Bytes& frame) {
    const XdpRun r = rig_->run(frame);
    const bool out = r.decision.verdict == LB_XDP_HANDED_OUT;
    const StepOutcome want = ours_->run(frame, *snapshot_, out);
    if (out) {
      handed_out_++;
      handed_bytes_ += frame.size();
      const StepOutcome got = theirs_->run(r.frame, *snapshot_, true);
      if (!is_unusual(frame)) return "the program handed out what it can do itself";
      if (got.verdict != want.verdict || got.reason != want.reason || got.egress != want.egress)
        return "the exception path decided otherwise";
      return packet::difference(want.frame, got.frame);
    }
    verdicts_[static_cast<size_t>(want.verdict)]++;
    if (r.decision.verdict != static_cast<uint32_t>(number(want.verdict)))
      return "verdict: pipeline " + std::to_string(number(want.verdict)) + ", program " +
             std::to_string(r.decision.verdict) + ", reasons " + std::to_string(want.reason) + " and " +
             std::to_string(r.decision.reason);
    if (want.verdict == Verdict::kDrop)
      return r.decision.reason == want.reason
                 ? ""
                 : "reason: pipeline " + std::to_string(want.reason) + ", program " + std::to_string(r.decision.reason);
    if (want.verdict == Verdict::kForward && r.decision.egress != want.egress) return "egress port";
    return packet::difference(want.frame, r.frame);
  }
  static uint32_t number(Verdict v) {
    return v == Verdict::kForward ? LB_XDP_FORWARDED : v == Verdict::kPunt ? LB_XDP_PUNTED : LB_XDP_DROPPED;
  }

  // Line of the first difference of the tables; empty: none.
  std::string compare_tables() {
    for (uint32_t worker = 0; worker < 2; worker++) {
      const stages::FlowTable want = worker == 0 ? own_.view() : exception_.view(), got = rig_->table(worker);
      const std::string where = "flow table of worker " + std::to_string(worker) + ": ";
      for (uint32_t i = 0; i < kLines; i++)
        if (std::memcmp(&want.lines[i], &got.lines[i], sizeof(lb_flow_line)) != 0)
          return where + "line " + std::to_string(i);
      for (uint32_t i = 0; i < kLines * LB_FLOW_ENTRIES; i++)
        if (std::memcmp(&want.cold[i], &got.cold[i], sizeof(lb_flow_cold)) != 0)
          return where + "record " + std::to_string(i);
    }
    return {};
  }

  void compare_counters() {
    const auto got = rig_->counters();
    for (size_t i = 0; i < LB_COUNT_MAX; i++) {
      uint64_t want = ours_->state.counters[i];
      if (i == LB_COUNT_RxPackets || i == LB_COUNT_HandedOut) want += handed_out_;
      if (i == LB_COUNT_RxBytes) want += handed_bytes_;
      EXPECT_EQ(want, got[i]) << "counter " << i;
    }
    const auto services = rig_->services(), backends = rig_->backends();
    for (size_t i = 0; i < std::min(services.size(), ours_->state.services.size()); i++) {
      EXPECT_EQ(ours_->state.services[i].packets, services[i].packets) << "service " << i;
      EXPECT_EQ(ours_->state.services[i].bytes, services[i].bytes) << "service " << i;
    }
    for (size_t i = 0; i < std::min(backends.size(), ours_->state.backends.size()); i++) {
      EXPECT_EQ(ours_->state.backends[i].packets, backends[i].packets) << "backend " << i;
      EXPECT_EQ(ours_->state.backends[i].bytes, backends[i].bytes) << "backend " << i;
    }
  }

  std::unique_ptr<XdpRig> rig_;
  property::TableMemory own_{kLines}, exception_{kLines};
  std::unique_ptr<Workers> ours_, theirs_;
  model::Compiler compiler_{kKey};
  model::IdTable ids_;
  uint64_t generation_ = 0, now_ms_ = kStart, handed_out_ = 0, handed_bytes_ = 0;
  std::array<uint64_t, 4> verdicts_{};
  std::shared_ptr<const model::Snapshot> snapshot_;
  std::vector<packet::Bytes> forwarded_, all_;
  std::mt19937_64 random_{seed()};
};

TEST_F(Differential, PipelineAndProgramDoTheSame) {
  const uint32_t frames = frames_of_a_run();
  std::printf("LBD_SEED=%lu\n", seed());
  for (uint32_t n = 0; n < frames; n++) {
    if (property::pick(random_, kPerSnapshot) == 0) next_snapshot();
    if (property::pick(random_, 20) == 0)
      advance(property::pick(random_, 50) == 0 ? 20'000 : property::pick(random_, 300));
    const packet::Bytes frame = next_frame();
    std::string difference = run_one(frame);
    if (difference.empty()) difference = compare_tables();
    ASSERT_EQ(difference, "") << "LBD_SEED=" << seed() << ", frame " << n << ":\n" << packet::describe(frame);
  }
  compare_counters();
  const auto counters = rig_->counters();
  std::printf("%u frames: %lu forwarded, %lu punted, %lu handed out, %lu flows begun, %lu found elsewhere\n", frames,
              counters[LB_COUNT_Forwarded], counters[LB_COUNT_Punted], handed_out_, counters[LB_COUNT_FlowsInserted],
              counters[LB_COUNT_ForeignFound]);
  for (const lb_counter c : {LB_COUNT_Forwarded, LB_COUNT_Punted, LB_COUNT_HandedOut, LB_COUNT_FlowsInserted,
                             LB_COUNT_FlowHits, LB_COUNT_FlowsEvictedOnce, LB_COUNT_FlowsUntracked})
    EXPECT_GT(counters[c], 0u) << "counter " << c << " was never reached";
}

}  // namespace
}  // namespace lb::conformance
