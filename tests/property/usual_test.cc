// What is sent in one go leaves as it would have left stage by stage: same bytes, verdicts, counters, and the same
// entry in the flow table.
#include "dataplane/stages/usual.h"

#include <gtest/gtest.h>

#include "dataplane/stages/choose.h"
#include "dataplane/stages/count.h"
#include "dataplane/stages/flow.h"
#include "dataplane/stages/fragment.h"
#include "dataplane/stages/hash.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/next_hop.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/rewrite.h"
#include "tests/property/frames.h"
#include "tests/property/table_memory.h"

namespace lb::property {
namespace {

using stages::Verdict;

constexpr uint64_t kSeed = 23;
constexpr int kBatches = 20'000;
constexpr uint32_t kLines = 1024;

// A worker's state, and one of the two ways of a packet.
class Way {
 public:
  Way() : memory_(kLines), tracker_(memory_.view(), {}, state_.counters) {}

  void run(stages::Batch& b, const model::Snapshot& s, uint64_t now_ms, bool in_one_go) {
    tracker_.tick(now_ms, nullptr);
    const auto n = static_cast<uint32_t>(__builtin_popcountll(b.live));
    if (in_one_go) {
      stages::run(b, s, &tracker_);
    } else {
      stages::parse(b, s);
      stages::follow_first(b, s, nullptr);
      stages::find_listener(b, s);
      stages::hash_flows(b, s);
      stages::find_quoted(b, s, tracker_);
      stages::find_flows(b, s, tracker_);
      stages::choose(b, s);
      stages::keep_flows(b, s, tracker_);
      stages::rewrite(b, s);
      stages::set_next_hop(b, s);
    }
    sent += static_cast<uint64_t>(__builtin_popcountll(b.usual.sent));
    stages::count_verdicts(b, n, state_);
  }
  const stages::WorkerState& state() const { return state_; }
  bool same_flows(const Way& other) const {
    return std::memcmp(memory_.lines.data(), other.memory_.lines.data(), kLines * sizeof(lb_flow_line)) == 0;
  }
  uint64_t sent = 0;

 private:
  TableMemory memory_;
  stages::WorkerState state_;
  stages::FlowTracker tracker_;
};

// Mostly what goes on, and now and then anything: flags of a TCP segment in a frame without tags and options.
packet::Bytes with_flags(packet::Bytes f, Random& r) {
  constexpr size_t kProto = 14 + 9, kFlags = 14 + 20 + 13;
  if (f.size() > kFlags && f[14] == 0x45 && f[kProto] == LB_PROTO_TCP)
    f[kFlags] = pick(r, 8) == 0 ? static_cast<uint8_t>(pick(r, 64)) : uint8_t{LB_TCP_ACK};
  return f;
}

// Without tags and options, and no short datagram: the packets of one flow are all usual ones, or none is.
bool is_plain(const packet::Bytes& f) {
  return f.size() >= 54 && ((f[12] == 8 && f[13] == 0 && f[14] == 0x45) || (f[12] == 0x86 && f[13] == 0xdd));
}

class UsualTest : public testing::Test {
 protected:
  void same(const Frames& fast, const Frames& slow, size_t i) {
    ASSERT_EQ(slow.batch->verdict[i], fast.batch->verdict[i]);
    if (slow.batch->verdict[i] == Verdict::kDrop) {
      ASSERT_EQ(slow.batch->reason[i], fast.batch->reason[i]);
      return;
    }
    ASSERT_EQ(packet::difference(slow.frame(i), fast.frame(i)), "");
    if (slow.batch->verdict[i] != Verdict::kForward) return;
    ASSERT_EQ(slow.batch->egress[i], fast.batch->egress[i]);
    ASSERT_EQ(slow.batch->headroom[i], fast.batch->headroom[i]);
  }

  std::shared_ptr<const model::Snapshot> snapshot_ = conformance::compile(conformance::edge());
  std::vector<packet::Bytes> seeds_ = seeds(Verdict::kNone), forwarded_ = seeds(Verdict::kForward);
};

TEST_F(UsualTest, LeavesAsItWouldStageByStage) {
  Random random(kSeed);
  auto one = std::make_unique<Way>(), by_stages = std::make_unique<Way>();
  uint64_t now_ms = 1'000'000;
  for (int n = 0; n < kBatches; n++) {
    std::vector<packet::Bytes> frames;
    const size_t count = n % 2 == 0 ? 1 : 1 + pick(random, 20);
    for (size_t i = 0; i < count; i++) {
      const auto& from = pick(random, 4) == 0 ? seeds_ : forwarded_;
      const packet::Bytes f = with_flags(from[pick(random, from.size())], random);
      if (count == 1)
        frames.push_back(pick(random, 4) == 0 ? mutate(f, random) : f);
      else if (is_plain(f))
        frames.push_back(f);
    }
    const auto headroom = static_cast<uint16_t>(pick(random, 8) == 0 ? pick(random, 60) : 64);
    now_ms += pick(random, 100);
    Frames fast(frames, n % 3 != 0, headroom), slow(frames, n % 3 != 0, headroom);
    one->run(*fast.batch, *snapshot_, now_ms, true);
    by_stages->run(*slow.batch, *snapshot_, now_ms, false);
    for (size_t i = 0; i < frames.size(); i++) {
      same(fast, slow, i);
      ASSERT_FALSE(HasFatalFailure()) << "seed " << kSeed << " batch " << n << " " << packet::describe(frames[i]);
    }
    ASSERT_TRUE(one->same_flows(*by_stages)) << "seed " << kSeed << " batch " << n << " of " << count;
  }
  EXPECT_TRUE(one->same_flows(*by_stages));
  for (size_t c = 0; c < LB_COUNT_MAX; c++) EXPECT_EQ(by_stages->state().counters[c], one->state().counters[c]) << c;
  for (size_t k = 0; k < one->state().backends.size(); k++)
    ASSERT_EQ(by_stages->state().backends[k].bytes, one->state().backends[k].bytes) << "backend " << k;
  for (size_t k = 0; k < one->state().services.size(); k++)
    ASSERT_EQ(by_stages->state().services[k].packets, one->state().services[k].packets) << "service " << k;
#ifdef __AVX2__
  EXPECT_GT(one->sent, static_cast<uint64_t>(kBatches));
#endif
  EXPECT_EQ(0u, by_stages->sent);
}

TEST_F(UsualTest, LeavesTheSameEntry) {
  Random random(kSeed + 1);
  auto one = std::make_unique<Way>(), by_stages = std::make_unique<Way>();
  uint64_t now_ms = 1'000'000;
  for (int n = 0; n < kBatches; n++) {
    const packet::Bytes f = with_flags(forwarded_[pick(random, forwarded_.size())], random);
    const packet::Bytes frame = pick(random, 3) == 0 ? mutate(f, random) : f;
    now_ms += pick(random, 300);
    Frames fast({frame}, true, 64), slow({frame}, true, 64);
    one->run(*fast.batch, *snapshot_, now_ms, true);
    by_stages->run(*slow.batch, *snapshot_, now_ms, false);
    same(fast, slow, 0);
    ASSERT_TRUE(one->same_flows(*by_stages))
        << "seed " << kSeed + 1 << " frame " << n << " " << packet::describe(frame);
    ASSERT_FALSE(HasFatalFailure()) << "frame " << n << " " << packet::describe(frame);
  }
  for (size_t c = 0; c < LB_COUNT_MAX; c++) EXPECT_EQ(by_stages->state().counters[c], one->state().counters[c]) << c;
#ifdef __AVX2__
  EXPECT_GT(one->sent, static_cast<uint64_t>(kBatches / 8));
#endif
}

// Backends leave, change pools, lose their next hops and their room: what the entry names is judged as the stages do.
TEST_F(UsualTest, JudgesTheBackendOfTheEntry) {
  Random random(kSeed + 2);
  auto one = std::make_unique<Way>(), by_stages = std::make_unique<Way>();
  model::Snapshot changed = *snapshot_;
  uint64_t now_ms = 1'000'000;
  for (int n = 0; n < kBatches; n++) {
    if (n % 8 == 0) {
      const size_t at = 1 + pick(random, changed.backends.size() - 1);
      lb_backend& b = changed.backends[at];
      b = snapshot_->backends[at];
      constexpr uint8_t kFlags[] = {LB_BACKEND_SERVING, LB_BACKEND_RESOLVED, LB_BACKEND_ON_LINK, LB_BACKEND_READY};
      const uint64_t what = pick(random, 8);
      if (what < std::size(kFlags)) b.flags = static_cast<uint8_t>(b.flags & ~kFlags[what]);
      if (what == 4) b.pool++;
      if (what == 5) b.mtu = static_cast<uint16_t>(40 + pick(random, 40));
    }
    const packet::Bytes frame = with_flags(forwarded_[pick(random, forwarded_.size())], random);
    now_ms += pick(random, 300);
    Frames fast({frame}, true, 64), slow({frame}, true, 64);
    one->run(*fast.batch, changed, now_ms, true);
    by_stages->run(*slow.batch, changed, now_ms, false);
    same(fast, slow, 0);
    ASSERT_FALSE(HasFatalFailure()) << "seed " << kSeed + 2 << " frame " << n << " " << packet::describe(frame);
    ASSERT_TRUE(one->same_flows(*by_stages))
        << "seed " << kSeed + 2 << " frame " << n << " " << packet::describe(frame);
  }
  for (size_t c = 0; c < LB_COUNT_MAX; c++) EXPECT_EQ(by_stages->state().counters[c], one->state().counters[c]) << c;
  EXPECT_GT(one->state().counters[LB_COUNT_FlowsMovedPool], 0u);
  EXPECT_GT(one->state().counters[LB_COUNT_FlowsMovedBackend], 0u);
  EXPECT_GT(one->state().counters[LB_COUNT_NoNextHop], 0u);
}

}  // namespace
}  // namespace lb::property
