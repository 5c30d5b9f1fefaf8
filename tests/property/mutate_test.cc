// 30,000 mutated frames a run, half of them grown from frames that are forwarded when left alone: no crash, each in
// exactly one verdict, every verdict and drop reason that this version can give reached at least ten times.
#include <gtest/gtest.h>

#include <cstdio>

#include "dataplane/model/counters.h"
#include "dataplane/stages/count.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/split.h"
#include "tests/property/frames.h"

namespace lb::property {
namespace {

using stages::Verdict;

constexpr uint64_t kSeed = 20261122;  // fixed: a failure repeats; --gtest_random_seed=N chooses another
constexpr size_t kFrames = 30'000;
constexpr uint64_t kLeast = 10;

class Mutated : public testing::Test {
 protected:
  // One batch of mutated frames through the pipeline; every property of single packets is checked here.
  void run_batch(const std::vector<packet::Bytes>& frames) {
    const uint64_t port = pick(random_, 4);  // 0: without a way to the kernel, 1: with a twin, else with a copy
    const auto headroom = static_cast<uint16_t>(pick(random_, 8) == 0 ? pick(random_, 24) : conformance::kHeadroom);
    Frames f(frames, port > 1, headroom);
    f.batch->exception_path = port == 1;
    // Some batches without answers, so that what they would be about is seen dropped, too.
    stages::Answers* const answers = pick(random_, 4) == 0 ? nullptr : answers_.get();
    answers_->tick(now_ms_ += 3);
    fragments_.tick(now_ms_);
    stages::run(*f.batch, *snapshot_, {.flows = nullptr, .fragments = &fragments_, .answers = answers});
    ASSERT_EQ(0u, f.batch->live);
    for (size_t i = 0; i < frames.size(); i++) {
      const Verdict v = f.batch->verdict[i];
      ASSERT_NE(Verdict::kNone, v) << packet::describe(frames[i]);
      if (v == Verdict::kPunt) {
        ASSERT_NE(port, 0u);
        ASSERT_EQ(packet::difference(frames[i], f.frame(i)), "");
      }
      if (v == Verdict::kForward) check_forwarded(f, i, frames[i], headroom);
      if (v == Verdict::kAnswer) check_answer(f, i, frames[i], headroom);
      if (v == Verdict::kSplit) send_pieces(*f.batch, static_cast<stages::Slot>(i));
      if (v == Verdict::kDrop) {
        ASSERT_GE(static_cast<lb_counter>(f.batch->reason[i]), LB_DROP_FIRST);
        ASSERT_LE(static_cast<lb_counter>(f.batch->reason[i]), LB_DROP_LAST);
      }
    }
    stages::count(*f.batch, static_cast<uint32_t>(frames.size()), f.bytes, worker_);
    while (fragments_.has_woken()) go_on_with_woken(*f.batch);
  }

  // Each in a buffer of exactly its size.
  void send_pieces(stages::Batch& b, stages::Slot i) {
    stages::Split split(b, i, *snapshot_);
    uint32_t bytes = 0;
    while (const uint32_t length = split.frame_bytes()) {
      packet::Bytes piece(length);
      split.write(piece.data());
      bytes += length;
    }
    ASSERT_GT(bytes, b.meta[i].ip_length);
    b.forward(i, b.egress[i]);
    b.length[i] = static_cast<uint16_t>(bytes);
  }
  void go_on_with_woken(stages::Batch& b) {
    std::vector<packet::Bytes> buffers(stages::kBatch);
    const uint32_t n = fragments_.release(b, [&](stages::Slot i, uint16_t bytes) {
      buffers[i].resize(64u + bytes);
      b.headroom[i] = 64;
      return buffers[i].data() + 64;
    });
    stages::run(b, *snapshot_, {.flows = nullptr, .fragments = &fragments_, .answers = nullptr});
    for (stages::Slot i = 0; i < n; i++) {
      ASSERT_NE(Verdict::kHold, b.verdict[i]);
      if (b.verdict[i] == Verdict::kSplit) send_pieces(b, i);
    }
    stages::count_verdicts(b, n, worker_);
  }

  void check_forwarded(const Frames& f, size_t i, const packet::Bytes& in, uint16_t headroom) {
    ASSERT_TRUE(f.inside(i, headroom, in.size())) << packet::describe(in);
    const packet::Bytes out = f.frame(i);
    // One tag at most: that of a backend in a VLAN.
    const size_t type = out[12] == 0x81 ? 16 : 12;
    const bool v6 = out[type] == 0x86;
    const std::span<const uint8_t> ip = std::span(out).subspan(type + 2);
    ASSERT_GE(ip.size(), 20u) << packet::describe(out);
    ASSERT_EQ(ip.size(), v6 ? 40u + static_cast<size_t>(ip[4] << 8 | ip[5]) : static_cast<size_t>(ip[2] << 8 | ip[3]))
        << packet::describe(out);
    ASSERT_EQ(v6 ? 6 : 4, ip[0] >> 4);
    if (!v6) {
      ASSERT_EQ(0, packet::checksum(ip.first((ip[0] & 15u) * 4u))) << packet::describe(out);
    }
    ASSERT_LT(f.batch->egress[i], 2);
  }

  // One to the frame's sender, out of the port that it came by, whose checksums are right: but for an echo reply, which
  // has the request's.
  void check_answer(const Frames& f, size_t i, const packet::Bytes& in, uint16_t headroom) {
    ASSERT_TRUE(f.inside(i, headroom, in.size())) << packet::describe(in);
    ASSERT_EQ(f.batch->egress[i], f.batch->ingress);
    const packet::Bytes out = f.frame(i);
    ASSERT_TRUE(std::equal(out.begin(), out.begin() + 6, in.begin() + 6)) << packet::describe(out);
    size_t at = 12;
    while (out[at] == 0x81 || out[at] == 0x88) at += 4;
    const std::span<const uint8_t> ip = std::span(out).subspan(at + 2);
    const bool v6 = ip[0] >> 4 == 6;
    const size_t header = v6 ? 40 : 20;
    ASSERT_GE(ip.size(), header + 8) << packet::describe(out);
    const std::span<const uint8_t> l4 = ip.subspan(header), pseudo = v6 ? ip.subspan(8, 32) : ip.subspan(12, 8);
    ASSERT_EQ(ip.size(), v6 ? 40u + static_cast<size_t>(ip[4] << 8 | ip[5]) : static_cast<size_t>(ip[2] << 8 | ip[3]));
    if (!v6) {
      ASSERT_EQ(0, packet::checksum(ip.first(header))) << packet::describe(out);
    }
    const uint8_t proto = v6 ? ip[6] : ip[9];
    if (proto == 58 ? l4[0] == 129 : proto == 1 && l4[0] == 0) return;
    ASSERT_TRUE(proto == 6 || proto == (v6 ? 58 : 1)) << packet::describe(out);
    ASSERT_LE(ip.size(), v6 ? 1280u : 576u);
    const auto start = static_cast<uint32_t>(static_cast<uint16_t>(~packet::checksum(pseudo)) + l4.size() + proto);
    ASSERT_EQ(0, packet::checksum(l4, proto == 1 ? 0 : start)) << packet::describe(out);
  }

  // Every other frame grows from one that is forwarded; the rest from one of each fate in turn, so that a reason which
  // few frames have is reached too.
  packet::Bytes next(size_t n) {
    const auto& from = n % 2 == 0 ? valid_ : fates_[n / 2 % fates_.size()];
    return mutate(from[pick(random_, from.size())], random_);
  }

  // Fragments behind the first ones too, which no case has alone.
  static std::vector<std::vector<packet::Bytes>> fates() {
    auto all = seeds_by_fate();
    std::vector<packet::Bytes>& later = all.emplace_back();
    for (const uint16_t offset : std::initializer_list<uint16_t>{9, 10, 11, 12}) {
      packet::Ip4 o{.id = 1, .df = false, .mf = true, .offset = offset, .proto = LB_PROTO_UDP};
      later.push_back(packet::eth().ip4("198.51.100.7", "192.0.2.10", o).payload_size(16).bytes());
      packet::Packet six = packet::eth().ip6("2001:db8:c::7", "2001:db8::10");
      later.push_back(six.fragment6(offset, true, 2).payload_size(16).bytes());
    }
    return all;
  }

  const std::vector<packet::Bytes> valid_ = seeds(Verdict::kForward);
  const std::vector<std::vector<packet::Bytes>> fates_ = fates();
  Random random_{testing::GTEST_FLAG(random_seed) != 0 ? static_cast<uint64_t>(testing::GTEST_FLAG(random_seed))
                                                       : kSeed};
  std::shared_ptr<const model::Snapshot> snapshot_ = conformance::compile(conformance::edge());
  stages::WorkerState worker_;
  std::unique_ptr<stages::Answers> answers_ = std::make_unique<stages::Answers>();
  stages::Fragments fragments_{worker_.counters, {.datagrams = 8, .held = 4, .held_bytes = 60, .held_each = 1}};
  uint64_t now_ms_ = 1'000'000;
};

void print_table(const stages::WorkerState& w) {
  std::printf("%-20s %8s\n", "verdict", "frames");
  for (const model::CounterInfo& c : model::counters())
    if (c.id != LB_COUNT_RxBytes && c.id != LB_COUNT_ForwardedBytes)
      std::printf("%-20.*s %8llu\n", static_cast<int>(c.name.size()), c.name.data(),
                  static_cast<unsigned long long>(w.counters[c.id]));
}

TEST_F(Mutated, FramesEndInOneVerdictEachAndReachThemAll) {
  size_t made = 0;
  while (made < kFrames) {
    std::vector<packet::Bytes> frames;
    for (size_t n = 1 + pick(random_, stages::kBatch); n > 0 && made < kFrames; n--) frames.push_back(next(made++));
    ASSERT_NO_FATAL_FAILURE(run_batch(frames));
  }
  print_table(worker_);
  uint64_t verdicts =
      worker_.counters[LB_COUNT_Forwarded] + worker_.counters[LB_COUNT_Answered] + worker_.counters[LB_COUNT_Punted];
  for (size_t d = LB_DROP_FIRST; d <= LB_DROP_LAST; d++) verdicts += worker_.counters[d];
  verdicts += worker_.counters[LB_COUNT_Held];
  EXPECT_EQ(kFrames, worker_.counters[LB_COUNT_RxPackets]);
  EXPECT_EQ(kFrames, verdicts);
  for (const model::CounterInfo& c : model::counters()) {
    // Of the engine, of the flow table: no queue, no twin, no other worker, no tracked flow here.
    if (c.id == LB_COUNT_TxFull || c.id == LB_COUNT_NoNextHop || c.id == LB_COUNT_HandoffFull ||
        c.id == LB_COUNT_ExceptionFull)
      continue;
    // Nothing remembers fragments here: fragments_test.cc has them.
    if (c.id == LB_COUNT_FragmentOverlap || c.id == LB_COUNT_FragmentFull) continue;
    if (c.id != LB_COUNT_Forwarded && c.id != LB_COUNT_Answered && c.id != LB_COUNT_Punted &&
        (c.id < LB_DROP_FIRST || c.id > LB_DROP_LAST))
      continue;
    EXPECT_GE(worker_.counters[c.id], kLeast) << c.name;
  }
}

}  // namespace
}  // namespace lb::property
