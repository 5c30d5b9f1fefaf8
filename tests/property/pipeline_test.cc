// Properties of the whole pipeline that no single case can show.
#include "dataplane/stages/pipeline.h"

#include <gtest/gtest.h>

#include <map>

#include "dataplane/net/csum.h"
#include "tests/property/frames.h"

namespace lb::property {
namespace {

using stages::Verdict;

constexpr uint64_t kSeed = 7;

TEST(Pipeline, GivesAFrameTheSameInABatchAsAlone) {
  const auto snapshot = conformance::compile(conformance::edge());
  const auto all = seeds(Verdict::kNone);
  Random random(kSeed);
  for (int round = 0; round < 60; round++) {
    std::vector<packet::Bytes> frames;
    for (size_t n = 1 + pick(random, stages::kBatch); n > 0; n--) {
      const packet::Bytes& f = all[pick(random, all.size())];
      frames.push_back(pick(random, 2) == 0 ? f : mutate(f, random));
    }
    Frames together(frames, true, conformance::kHeadroom);
    stages::run(*together.batch, *snapshot);
    for (size_t i = 0; i < frames.size(); i++) {
      Frames alone({frames[i]}, true, conformance::kHeadroom);
      stages::run(*alone.batch, *snapshot);
      ASSERT_EQ(alone.batch->verdict[0], together.batch->verdict[i]) << packet::describe(frames[i]);
      if (alone.batch->verdict[0] == Verdict::kDrop) {
        ASSERT_EQ(alone.batch->reason[0], together.batch->reason[i]);
        continue;  // its bytes are nobody's any more
      }
      ASSERT_EQ(packet::difference(alone.frame(0), together.frame(i)), "");
    }
  }
}

// Whatever is done to a frame whose destination is not ours, the kernel gets it byte for byte.
TEST(Pipeline, LeavesWhatIsNotOwnedAsItCame) {
  const auto snapshot = conformance::compile(conformance::edge());
  Random random(kSeed);
  size_t punted = 0;
  for (const packet::Bytes& owned : seeds(Verdict::kForward)) {
    for (int n = 0; n < 10; n++) {
      packet::Bytes f = mutate(owned, random);
      if (f.size() < 14 || (f[12] != 0x08 && f[12] != 0x86)) continue;  // behind tags the address lies elsewhere
      const size_t first = f[12] == 0x86 ? 14 + 24 : 14 + 16;
      if (f.size() <= first) continue;
      f[first] = 203;  // 203.x and cb..: are nobody's
      Frames b({f}, true, conformance::kHeadroom);
      stages::run(*b.batch, *snapshot);
      ASSERT_EQ(Verdict::kPunt, b.batch->verdict[0]) << packet::describe(f);
      ASSERT_EQ(packet::difference(f, b.frame(0)), "");
      punted++;
    }
  }
  EXPECT_GT(punted, 500u);
}

TEST(Checksum, UpdatesAsTheWholeSumWould) {
  Random random(kSeed);
  for (int n = 0; n < 100'000; n++) {
    packet::Bytes header(20 + 4 * pick(random, 11));
    for (uint8_t& b : header) b = static_cast<uint8_t>(random());
    if (n % 8 == 0) std::fill(header.begin(), header.end(), n % 16 == 0 ? 0 : 0xff);
    header[0] = 0x45;  // a header is never all zeros, the one sum that two representations have
    const size_t at = 2 * pick(random, header.size() / 2);
    if (at == 10 || at == 0) continue;
    const auto field = [&header](size_t o) { return static_cast<lb_be16>(header[o] | header[o + 1] << 8); };
    header[10] = header[11] = 0;
    const uint16_t before = packet::checksum(header);
    ASSERT_EQ(lb_htons(before), lb_csum_ipv4(header.data(), static_cast<__u32>(header.size())));
    const auto replaced = static_cast<lb_be16>(random());
    const lb_be16 updated = lb_csum_update16(lb_htons(before), field(at), replaced);
    header[at] = static_cast<uint8_t>(replaced);
    header[at + 1] = static_cast<uint8_t>(replaced >> 8);
    ASSERT_EQ(packet::checksum(header), lb_ntohs(updated)) << "word at " << at;
  }
}

// Shares of a table with three equal backends, by real packets over both families.
TEST(Pipeline, SpreadsFlowsByWeight) {
  const auto snapshot = conformance::compile(conformance::edge());
  std::map<uint16_t, uint32_t> count;
  constexpr uint16_t kFlows = 6000;
  for (uint16_t i = 0; i < kFlows; i++) {
    auto p = packet::eth();
    if (i % 2 == 0)
      p.ip4("198.51.100.7", "192.0.2.60");
    else
      p.ip6("2001:db8:c::7", "2001:db8::60");
    Frames f({p.tcp(static_cast<uint16_t>(1024 + i), 80).bytes()}, true, conformance::kHeadroom);
    stages::run(*f.batch, *snapshot);
    ASSERT_EQ(Verdict::kForward, f.batch->verdict[0]);
    count[f.batch->meta[0].backend]++;
  }
  ASSERT_EQ(3u, count.size());
  double chi = 0;  // against slots, not thirds: 251 is no multiple of 3, but within half a per cent of it
  for (const auto& [id, n] : count) chi += (n - kFlows / 3.0) * (n - kFlows / 3.0) / (kFlows / 3.0);
  EXPECT_LT(chi, 13.8);  // p = 0.001 with two degrees of freedom
}

}  // namespace
}  // namespace lb::property
