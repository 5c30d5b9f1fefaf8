#include "dataplane/stages/split.h"

#include <gtest/gtest.h>

#include "dataplane/stages/pipeline.h"
#include "tests/packet/fragmenter.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::stages {
namespace {

using packet::Bytes;
using packet::eth;

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10", kClient4 = "198.51.100.7";

class SplitTest : public testing::Test {
 protected:
  void serve(uint16_t mtu, lb_forward forward = LB_FORWARD_IPIP, bool ipv6 = false) {
    s_ = SmallSnapshot();
    const uint16_t backend =
        ipv6 ? s_.add_backend("2001:db8:1::11", "2001:db8:1::1", mtu) : s_.add_backend("10.0.0.11", "10.0.0.1", mtu);
    s_.serve({backend}, forward);
    for (const auto& vip : {kVip4, kVip6}) {
      s_.own(vip);
      s_.listen(vip, 53, LB_PROTO_UDP, 0);
    }
  }
  Verdict verdict(const packet::Packet& p) {
    Frames f({p.bytes()});
    run(f.batch, s_.get());
    return f.batch.verdict[0];
  }
  // The frames that leave; each is as long as was told.
  std::vector<Bytes> pieces(const packet::Packet& p) {
    Frames f({p.bytes()});
    run(f.batch, s_.get());
    EXPECT_EQ(Verdict::kSplit, f.batch.verdict[0]);
    EXPECT_EQ(1u, f.batch.splits);
    EXPECT_EQ(0u, f.batch.live);
    EXPECT_EQ(1, f.batch.egress[0]);
    EXPECT_EQ(packet::difference(p.bytes(), f.bytes(0)), "");
    std::vector<Bytes> all;
    Split split(f.batch, 0, s_.get());
    while (const uint32_t bytes = split.frame_bytes()) {
      all.emplace_back(bytes);
      split.write(all.back().data());
    }
    return all;
  }
  static std::vector<Bytes> without(const std::vector<Bytes>& frames, size_t front) {
    std::vector<Bytes> packets;
    for (const Bytes& f : frames) packets.emplace_back(f.begin() + static_cast<ptrdiff_t>(front), f.end());
    return packets;
  }
  static Bytes together(const packet::Packet& p, uint8_t ttl) {
    const Bytes frame = p.bytes();
    Bytes whole(frame.begin() + 14, frame.end());
    whole[6] = whole[7] = whole[10] = whole[11] = 0;
    whole[8] = ttl;
    return whole;
  }

  SmallSnapshot s_;
};

packet::Packet udp(size_t payload, packet::Ip4 o = {}) {
  o.df = false;
  o.id = 0x1234;
  return eth().ip4(kClient4, kVip4, o).udp(4000, 53).payload_size(payload);
}

TEST_F(SplitTest, CutsTheInnerPacketAndEncapsulatesEachPiece) {
  serve(1400);
  const auto p = udp(2000, {.tos = 0xb9, .ttl = 9});
  const auto frames = pieces(p);
  ASSERT_EQ(2u, frames.size());
  size_t offset = 0;
  for (size_t k = 0; k < frames.size(); k++) {
    const bool last = k + 1 == frames.size();
    const size_t bytes = last ? 2008 - offset : 1360;  // 1400 - 20 - 20, down to a multiple of 8
    const Bytes in = p.bytes();
    const auto data = in.begin() + 34 + static_cast<ptrdiff_t>(offset);
    Bytes want = eth("02:00:00:00:01:11", "02:00:00:00:00:02")
                     .ip4("10.0.0.1", "10.0.0.11", {.tos = 0xb9})
                     .then(packet::ip4(kClient4, kVip4,
                                       {.tos = 0xb9,
                                        .ttl = 8,
                                        .id = 0x1234,
                                        .df = false,
                                        .mf = !last,
                                        .offset = static_cast<uint16_t>(offset / 8),
                                        .proto = 17})
                               .payload_size(bytes))
                     .bytes();
    std::copy(data, data + static_cast<ptrdiff_t>(bytes), want.end() - static_cast<ptrdiff_t>(bytes));
    EXPECT_EQ(packet::difference(want, frames[k]), "");
    offset += bytes;
  }
}

TEST_F(SplitTest, LosesNoByteWhateverTheSize) {
  for (const bool ipv6 : {false, true}) {
    for (const uint16_t mtu : std::initializer_list<uint16_t>{68, 576, 1279, 1280, 1499}) {
      serve(mtu, LB_FORWARD_IPIP, ipv6);
      for (const size_t payload : {1500u, 1501u, 2047u, 4000u, 8972u}) {
        const auto p = udp(payload);
        const auto frames = pieces(p);
        for (const Bytes& f : frames) EXPECT_LE(f.size(), 14u + mtu);
        const auto whole = packet::put_together(without(frames, ipv6 ? 54 : 34));
        ASSERT_TRUE(whole) << mtu << ' ' << payload;
        EXPECT_EQ(packet::difference(together(p, 63), *whole), "");
      }
    }
  }
}

TEST_F(SplitTest, SplitsForASmallerEgressByDsrToo) {
  serve(1280, LB_FORWARD_DSR);
  const auto p = udp(3000);
  const auto frames = pieces(p);
  ASSERT_EQ(3u, frames.size());
  for (const Bytes& f : frames)
    EXPECT_EQ(Bytes(f.begin(), f.begin() + 14),
              eth("02:00:00:00:01:11", "02:00:00:00:00:02").then(packet::ip4(kClient4, kVip4)).cut(14).bytes());
  const auto whole = packet::put_together(without(frames, 14));
  ASSERT_TRUE(whole);
  EXPECT_EQ(packet::difference(together(p, 63), *whole), "");
}

TEST_F(SplitTest, OnlyWhatDoesNotFitAndMayBeCut) {
  serve(1400);
  EXPECT_EQ(Verdict::kForward, verdict(udp(1400 - 48)));
  EXPECT_EQ(Verdict::kSplit, verdict(udp(1400 - 47)));
  EXPECT_EQ(Verdict::kDrop, verdict(eth().ip4(kClient4, kVip4).udp(1, 53).payload_size(1400)));
  EXPECT_EQ(Verdict::kDrop, verdict(eth().ip6("2001:db8:c::7", kVip6).udp(1, 53).payload_size(1400)));
  EXPECT_EQ(Verdict::kDrop, verdict(udp(1400, {.ttl = 1})));
  serve(47);  // 20 + 20 + 8 is the least
  EXPECT_EQ(Verdict::kDrop, verdict(udp(100)));
  serve(48);
  EXPECT_EQ(Verdict::kSplit, verdict(udp(100)));
}

TEST_F(SplitTest, CutsAFragmentIntoSmallerOnes) {
  serve(600);
  const auto first = eth().ip4(kClient4, kVip4, {.id = 5, .df = false, .mf = true}).udp(4000, 53, {.length = 3000});
  auto p = first;
  const auto frames = pieces(p.payload_size(1432));
  ASSERT_EQ(3u, frames.size());
  uint16_t at = 0;
  for (const Bytes& f : without(frames, 34)) {
    const auto frag = static_cast<uint16_t>(f[6] << 8 | f[7]);
    EXPECT_EQ(0x2000 | at, frag);
    EXPECT_EQ(0u, (f.size() - 20) % 8);
    at = static_cast<uint16_t>(at + (f.size() - 20) / 8);
  }
  EXPECT_EQ(180, at);
}

TEST_F(SplitTest, CopiesOnlyTheOptionsThatAskForIt) {
  serve(600);
  // Record route (7, not copied), no operation, loose source route (0x83, copied), end.
  const Bytes options = {7, 7, 4, 0, 0, 0, 0, 1, 0x83, 7, 4, 10, 1, 2, 3, 0};
  const auto frames = without(pieces(udp(1200, {.options = options})), 34);
  ASSERT_EQ(3u, frames.size());
  EXPECT_EQ(0x49, frames[0][0]);
  EXPECT_EQ(options, Bytes(frames[0].begin() + 20, frames[0].begin() + 36));
  for (size_t k = 1; k < frames.size(); k++) {
    EXPECT_EQ(0x47, frames[k][0]);
    EXPECT_EQ((Bytes{0x83, 7, 4, 10, 1, 2, 3, 0}), Bytes(frames[k].begin() + 20, frames[k].begin() + 28));
  }
  EXPECT_TRUE(packet::put_together(frames));
  for (const Bytes& bad : {Bytes{0x83, 0, 0, 0}, Bytes{0x83, 60, 0, 0}, Bytes{1, 1, 1, 0x83}}) {
    const auto cut = without(pieces(udp(1200, {.options = bad})), 34);
    EXPECT_EQ(0x45, cut[1][0]);
    EXPECT_TRUE(packet::put_together(cut));
  }
}

}  // namespace
}  // namespace lb::stages
