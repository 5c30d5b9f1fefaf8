// recognise() says of a packet what parse() and find_listener() would say of it, or nothing at all.
#include "dataplane/stages/recognise.h"

#include <gtest/gtest.h>

#include "dataplane/stages/listener.h"
#include "dataplane/stages/parse.h"
#include "tests/property/frames.h"

namespace lb::property {
namespace {

using stages::Verdict;

constexpr uint64_t kSeed = 17;
constexpr int kFrames = 60'000;

bool equal(const lb_addr& a, const lb_addr& b) {
  return std::memcmp(a.b, b.b, sizeof a.b) == 0;
}

void expect_same(const stages::Meta& fast, const stages::Meta& slow) {
  EXPECT_TRUE(equal(fast.src, slow.src));
  EXPECT_TRUE(equal(fast.dst, slow.dst));
  EXPECT_EQ(fast.sport, slow.sport);
  EXPECT_EQ(fast.dport, slow.dport);
  EXPECT_EQ(fast.proto, slow.proto);
  EXPECT_EQ(fast.family, slow.family);
  EXPECT_EQ(fast.l3, slow.l3);
  EXPECT_EQ(fast.l4, slow.l4);
  EXPECT_EQ(fast.ip_length, slow.ip_length);
  EXPECT_EQ(fast.service, slow.service);
  EXPECT_EQ(fast.backend, slow.backend);
  EXPECT_EQ(fast.fragment, slow.fragment);
  EXPECT_EQ(fast.tcp, slow.tcp);
}

class Recognise : public testing::Test {
 protected:
  // RETURNS: whether the frame was recognised.
  bool compare(const packet::Bytes& frame) {
    const bool traced = compare(frame, true), untraced = compare(frame, false);
    EXPECT_EQ(traced, untraced);
    return untraced;
  }
  // traced: one by one, else many at once where that is possible.
  bool compare(const packet::Bytes& frame, bool traced) {
    Frames fast({frame}, true, 0), slow({frame}, true, 0);
    std::memset(static_cast<void*>(&fast.batch->meta[0]), 0x5a, sizeof(stages::Meta));  // of the batch before
    stages::Trace fast_trace[stages::kBatch], slow_trace[stages::kBatch];
    if (traced) fast.batch->trace = fast_trace;
    slow.batch->trace = slow_trace;
    stages::recognise(*fast.batch, *snapshot_, nullptr);
    const bool recognised = fast.batch->recognised == 1;
    usual_ += fast.batch->usual.slots == 1 ? 1 : 0;
    stages::complete(*fast.batch, fast.batch->usual.slots);
    EXPECT_EQ(1u, fast.batch->live);
    stages::parse(*fast.batch, *snapshot_);
    stages::find_listener(*fast.batch, *snapshot_);
    stages::parse(*slow.batch, *snapshot_);
    stages::find_listener(*slow.batch, *snapshot_);
    EXPECT_EQ(packet::difference(frame, fast.frame(0)), "");
    EXPECT_EQ(slow.batch->verdict[0], fast.batch->verdict[0]);
    EXPECT_EQ(slow.batch->live, fast.batch->live);
    if (traced) {
      EXPECT_EQ(slow_trace[0].listener, fast_trace[0].listener);
    }
    if (slow.batch->verdict[0] == Verdict::kDrop) {
      EXPECT_EQ(slow.batch->reason[0], fast.batch->reason[0]);
    }
    if (slow.batch->verdict[0] == Verdict::kNone) expect_same(fast.batch->meta[0], slow.batch->meta[0]);
    EXPECT_TRUE(!recognised || slow.batch->verdict[0] == Verdict::kNone);
    return recognised;
  }

  std::shared_ptr<const model::Snapshot> snapshot_ = conformance::compile(conformance::edge());
  int usual_ = 0;
};

TEST_F(Recognise, SaysWhatParseAndListenerSay) {
  const auto all = seeds(Verdict::kNone);
  Random random(kSeed);
  int recognised = 0;
  for (int n = 0; n < kFrames; n++) {
    const packet::Bytes& from = all[pick(random, all.size())];
    const packet::Bytes f = n % 8 == 0 ? from : mutate(from, random);
    recognised += compare(f) ? 1 : 0;
    ASSERT_FALSE(HasFailure()) << "frame " << n << " " << packet::describe(f);
  }
  EXPECT_GT(recognised, kFrames / 20);
#ifdef __AVX2__
  EXPECT_GT(usual_, kFrames / 50);
#endif
}

// Eight at a time or not, in any company: what is said of a packet is what is said of it alone.
TEST_F(Recognise, SaysOfManyWhatItSaysOfEach) {
  const auto all = seeds(Verdict::kNone);
  Random random(kSeed + 1);
  for (int n = 0; n < 4000; n++) {
    std::vector<packet::Bytes> frames;
    const size_t count = 1 + pick(random, stages::kBatch);
    for (size_t i = 0; i < count; i++) {
      const packet::Bytes& from = all[pick(random, all.size())];
      frames.push_back(pick(random, 4) == 0 ? mutate(from, random) : from);
    }
    Frames many(frames, true, 0);
    stages::recognise(*many.batch, *snapshot_, nullptr);
    stages::complete(*many.batch, many.batch->usual.slots);
    for (size_t i = 0; i < count; i++) {
      Frames one({frames[i]}, true, 0);
      stages::Trace trace[stages::kBatch];
      one.batch->trace = trace;
      stages::recognise(*one.batch, *snapshot_, nullptr);
      ASSERT_EQ(one.batch->recognised, many.batch->recognised >> i & 1) << packet::describe(frames[i]);
      if (one.batch->recognised == 1) expect_same(many.batch->meta[i], one.batch->meta[0]);
      ASSERT_FALSE(HasFailure()) << "frame " << i << " of " << count << " " << packet::describe(frames[i]);
    }
  }
}

// Every value of every byte of the headers, one after the other: no field is judged by one of the two alone.
TEST_F(Recognise, SaysTheSameOfEveryByte) {
  for (const packet::Bytes& from :
       {packet::eth().ip4("198.51.100.7", "192.0.2.10").tcp(40000, 80).payload("x").padding(3).bytes(),
        packet::eth().ip4("198.51.100.7", "192.0.2.10").udp(40000, 53).payload("xy").bytes(),
        packet::eth().ip6("2001:db8:c::7", "2001:db8::10").tcp(40000, 80).bytes(),
        packet::eth().ip6("2001:db8:c::7", "2001:db8::10").udp(40000, 53).payload("xyz").padding(1).bytes()}) {
    EXPECT_TRUE(compare(from));
    for (size_t at = 0; at < from.size(); at++) {
      for (int value = 0; value < 256; value++) {
        packet::Bytes f = from;
        f[at] = static_cast<uint8_t>(value);
        compare(f);
        repair_ipv4(f, 14);
        compare(f);
        ASSERT_FALSE(HasFailure()) << "byte " << at << " of " << packet::describe(f);
      }
    }
  }
}

// What real traffic is made of must not take the long way.
TEST_F(Recognise, KnowsTheUsualPackets) {
  const auto tagged = [](packet::Bytes f, int tags) {
    for (; tags > 0; tags--) f.insert(f.begin() + 12, {0x81, 0x00, 0x00, 0x07});
    return f;
  };
  for (int tags = 0; tags <= 2; tags++) {
    EXPECT_TRUE(compare(tagged(packet::eth().ip4("203.0.113.9", "192.0.2.10").tcp(1, 80).bytes(), tags))) << tags;
    EXPECT_TRUE(compare(tagged(packet::eth().ip6("2001:db8:c::7", "2001:db8::10").udp(9, 53).bytes(), tags))) << tags;
  }
  EXPECT_FALSE(compare(tagged(packet::eth().ip4("203.0.113.9", "192.0.2.10").tcp(1, 80).bytes(), 3)));
  EXPECT_FALSE(compare(packet::eth().ip4("192.0.2.10", "192.0.2.10").tcp(1, 80).bytes()));  // from ourselves
}

}  // namespace
}  // namespace lb::property
