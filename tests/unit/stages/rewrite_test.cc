#include "dataplane/stages/rewrite.h"

#include <gtest/gtest.h>

#include "dataplane/stages/choose.h"
#include "dataplane/stages/hash.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/next_hop.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/pipeline.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::stages {
namespace {

using packet::eth;

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10", kClient4 = "198.51.100.7",
                           kClient6 = "2001:db8:c::7";

class Rewrite : public testing::Test {
 protected:
  void serve(std::string_view backend, std::string_view source, lb_forward forward = LB_FORWARD_IPIP,
             uint16_t mtu = 1500) {
    s_ = SmallSnapshot();
    s_.serve({s_.add_backend(backend, source, mtu)}, forward);
    for (const auto& vip : {kVip4, kVip6}) {
      s_.own(vip);
      s_.listen(vip, 80, LB_PROTO_TCP, 0);
    }
  }
  // The IP packet that leaves rewrite, without the room for the Ethernet header.
  packet::Bytes rewritten(const packet::Packet& p) {
    Frames f({p.bytes()});
    before_rewrite(f.batch);
    rewrite(f.batch, s_.get());
    EXPECT_EQ(Verdict::kNone, f.batch.verdict[0]);
    packet::Bytes frame = f.bytes(0);
    frame.erase(frame.begin(), frame.begin() + 14);
    return frame;
  }
  Drop dropped(const packet::Packet& p, uint16_t headroom = 64) {
    Frames f({p.bytes()}, true, headroom);
    before_rewrite(f.batch);
    rewrite(f.batch, s_.get());
    return f.batch.verdict[0] == Verdict::kDrop ? static_cast<Drop>(f.batch.reason[0]) : static_cast<Drop>(0);
  }
  void before_rewrite(Batch& b) {
    parse(b, s_.get());
    find_listener(b, s_.get());
    hash_flows(b, s_.get());
    choose(b, s_.get());
  }

  SmallSnapshot s_;
};

TEST_F(Rewrite, TakesOneFromTheTtlAndKeepsTheChecksumRight) {
  serve("10.0.0.11", "10.0.0.1", LB_FORWARD_DSR);
  for (uint16_t id = 0; id < 2048; id++) {  // ids walk the checksum past its wrap
    const auto p = [id](uint8_t ttl) {
      return packet::ip4(kClient4, kVip4, {.ttl = ttl, .id = static_cast<uint16_t>(id * 32)}).tcp(1, 80);
    };
    const auto ttl = static_cast<uint8_t>(2 + id % 254);
    ASSERT_EQ(packet::difference(p(static_cast<uint8_t>(ttl - 1)).bytes(), rewritten(eth().then(p(ttl)))), "");
  }
}

TEST_F(Rewrite, PutsEveryFamilyIntoEveryOther) {
  const auto v4 = [](uint8_t ttl) { return packet::ip4(kClient4, kVip4, {.tos = 0xb9, .ttl = ttl}).tcp(1, 80); };
  const auto v6 = [](uint8_t ttl) { return packet::ip6(kClient6, kVip6, {.tos = 0xb9, .hop_limit = ttl}).tcp(1, 80); };
  const auto outer4 = [] { return packet::ip4("10.0.0.1", "10.0.0.11", {.tos = 0xb9}); };
  serve("10.0.0.11", "10.0.0.1");
  EXPECT_EQ(packet::difference(outer4().then(v4(63)).bytes(), rewritten(eth().then(v4(64)))), "");
  EXPECT_EQ(packet::difference(outer4().then(v6(63)).bytes(), rewritten(eth().then(v6(64)))), "");

  serve("2001:db8:1::12", "2001:db8:1::1");
  for (const bool inner6 : {false, true}) {
    Frames f({eth().then(inner6 ? v6(64) : v4(64)).bytes()});
    before_rewrite(f.batch);
    const auto label = static_cast<uint32_t>(f.batch.meta[0].hash & 0xfffff);
    rewrite(f.batch, s_.get());
    const auto outer = packet::ip6("2001:db8:1::1", "2001:db8:1::12", {.tos = 0xb9, .label = label})
                           .then(inner6 ? v6(63) : v4(63))
                           .bytes();
    packet::Bytes found = f.bytes(0);
    found.erase(found.begin(), found.begin() + 14);
    EXPECT_EQ(packet::difference(outer, found), "");
  }
}

TEST_F(Rewrite, NeverWritesFlowLabelZero) {
  serve("2001:db8:1::12", "2001:db8:1::1");
  Frames f({eth().ip4(kClient4, kVip4).tcp(1, 80).bytes()});
  before_rewrite(f.batch);
  f.batch.meta[0].hash = 0x1234567800000000ull;
  rewrite(f.batch, s_.get());
  const packet::Bytes found = f.bytes(0);
  EXPECT_EQ(0x60, found[14]);
  EXPECT_EQ(packet::Bytes({0, 0, 1}), packet::Bytes(found.begin() + 15, found.begin() + 18));
}

TEST_F(Rewrite, AccountsForHeadroomAndTags) {
  serve("10.0.0.11", "10.0.0.1");
  const auto tagged = [](int tags) {
    auto p = eth();
    for (int i = 0; i < tags; i++) p.vlan(static_cast<uint16_t>(i + 1));
    return p.ip4(kClient4, kVip4).tcp(1, 80);
  };
  for (int tags = 0; tags <= 2; tags++) {
    const auto need = static_cast<uint16_t>(20 - 4 * tags);
    EXPECT_EQ(0, dropped(tagged(tags), need)) << tags;
    EXPECT_EQ(LB_DROP_NoHeadroom, dropped(tagged(tags), static_cast<uint16_t>(need - 1))) << tags;
    Frames f({tagged(tags).bytes()}, true, 64);
    const uint8_t* end = f.batch.data[0] + f.batch.length[0];
    before_rewrite(f.batch);
    rewrite(f.batch, s_.get());
    EXPECT_EQ(64 - need, f.batch.headroom[0]);
    EXPECT_EQ(end, f.batch.data[0] + f.batch.length[0]);
  }
}

TEST_F(Rewrite, GainsHeadroomWhenTagsGoAndNothingComes) {
  serve("10.0.0.11", "10.0.0.1", LB_FORWARD_DSR);
  Frames f({eth().vlan(1).vlan(2).ip4(kClient4, kVip4).tcp(1, 80).bytes()}, true, 0);
  before_rewrite(f.batch);
  rewrite(f.batch, s_.get());
  EXPECT_EQ(Verdict::kNone, f.batch.verdict[0]);
  EXPECT_EQ(8, f.batch.headroom[0]);
  EXPECT_EQ(14 + 40, f.batch.length[0]);
}

TEST_F(Rewrite, RefusesWhatWouldNotFitTheBackendsMtu) {
  const auto sized = [](size_t ip_bytes) { return eth().ip4(kClient4, kVip4).tcp(1, 80).payload_size(ip_bytes - 40); };
  serve("10.0.0.11", "10.0.0.1", LB_FORWARD_IPIP, 1400);
  EXPECT_EQ(0, dropped(sized(1380)));
  EXPECT_EQ(LB_DROP_TooBig, dropped(sized(1381)));
  serve("2001:db8:1::12", "2001:db8:1::1", LB_FORWARD_IPIP, 1400);
  EXPECT_EQ(0, dropped(sized(1360)));
  EXPECT_EQ(LB_DROP_TooBig, dropped(sized(1361)));
  serve("10.0.0.11", "10.0.0.1", LB_FORWARD_DSR, 1400);
  EXPECT_EQ(0, dropped(sized(1400)));
  EXPECT_EQ(LB_DROP_TooBig, dropped(sized(1401)));
  EXPECT_EQ(0, dropped(sized(1400).padding(50)));
}

TEST_F(Rewrite, TellsTtlBeforeSizeBeforeHeadroom) {
  serve("10.0.0.11", "10.0.0.1", LB_FORWARD_IPIP, 100);
  const auto p = [](uint8_t ttl, size_t payload) {
    return eth().ip4(kClient4, kVip4, {.ttl = ttl}).tcp(1, 80).payload_size(payload);
  };
  EXPECT_EQ(LB_DROP_TtlExpired, dropped(p(1, 100), 0));
  EXPECT_EQ(LB_DROP_TooBig, dropped(p(2, 100), 0));
  EXPECT_EQ(LB_DROP_NoHeadroom, dropped(p(2, 40), 0));
}

TEST_F(Rewrite, IsFollowedByAFrameForTheNeighbour) {
  serve("2001:db8:1::12", "2001:db8:1::1");
  Frames f({eth().ip4(kClient4, kVip4).tcp(1, 80).bytes()});
  run(f.batch, s_.get());
  EXPECT_EQ(Verdict::kForward, f.batch.verdict[0]);
  EXPECT_EQ(1, f.batch.egress[0]);
  EXPECT_EQ(0u, f.batch.live);
  packet::Bytes want = packet::mac_bytes("02:00:00:00:01:11");
  const packet::Bytes src = packet::mac_bytes("02:00:00:00:00:02");
  want.insert(want.end(), src.begin(), src.end());
  want.insert(want.end(), {0x86, 0xdd, 0x60});
  const packet::Bytes found = f.bytes(0);
  EXPECT_EQ(want, packet::Bytes(found.begin(), found.begin() + 15));
}

}  // namespace
}  // namespace lb::stages
