// The parser against random bytes: it never reads outside the frame (AddressSanitizer is the judge: buffers end where
// frames end), never changes a byte, and what it passes on lies inside the frame.
#include "dataplane/stages/parse.h"

#include <gtest/gtest.h>

#include "tests/property/frames.h"

namespace lb::property {
namespace {

using stages::Verdict;

constexpr uint64_t kSeed = 11;

void check_passed(const stages::Meta& m, size_t length) {
  ASSERT_TRUE(m.family == 4 || m.family == 6);
  ASSERT_GE(m.l3, 14);
  ASSERT_GE(m.l4, m.l3 + (m.family == 4 ? 20 : 40));
  ASSERT_LE(m.l4, m.l3 + m.ip_length);
  ASSERT_LE(m.l3 + m.ip_length, length);
  if (m.fragment == stages::kLaterFragment) return;
  if (m.proto == LB_PROTO_TCP) {
    ASSERT_GE(m.l3 + m.ip_length - m.l4, 20);
  }
  if (m.proto == LB_PROTO_UDP) {
    ASSERT_GE(m.l3 + m.ip_length - m.l4, 8);
  }
}

TEST(Parse, PassesOnOnlyWhatLiesInsideTheFrame) {
  const auto snapshot = conformance::compile(conformance::edge());
  const auto all = seeds(Verdict::kNone);
  Random random(kSeed);
  size_t passed = 0;
  for (int n = 0; n < 20'000; n++) {
    const packet::Bytes f = mutate(all[pick(random, all.size())], random);
    Frames b({f}, true, 0);
    stages::parse(*b.batch, *snapshot);
    ASSERT_EQ(packet::difference(f, b.frame(0)), "");
    if (b.batch->verdict[0] != Verdict::kNone) continue;
    passed++;
    ASSERT_NO_FATAL_FAILURE(check_passed(b.batch->meta[0], f.size())) << packet::describe(f);
  }
  EXPECT_GT(passed, 2000u);
}

TEST(Parse, SurvivesNoise) {
  const auto snapshot = conformance::compile(conformance::edge());
  Random random(kSeed);
  const packet::Bytes mac = packet::mac_bytes(packet::kPortMac);
  for (int n = 0; n < 20'000; n++) {
    packet::Bytes f(pick(random, 200));
    for (uint8_t& b : f) b = static_cast<uint8_t>(random());
    for (size_t i = 0; i < std::min(f.size(), mac.size()); i++) f[i] = mac[i];
    constexpr uint8_t kTypes[][2] = {{0x08, 0x00}, {0x86, 0xdd}, {0x81, 0x00}, {0x88, 0xa8}};
    if (f.size() >= 14) std::memcpy(&f[12], kTypes[pick(random, 4)], 2);
    Frames b({f}, true, 0);
    stages::parse(*b.batch, *snapshot);
    ASSERT_EQ(packet::difference(f, b.frame(0)), "");
  }
}

}  // namespace
}  // namespace lb::property
