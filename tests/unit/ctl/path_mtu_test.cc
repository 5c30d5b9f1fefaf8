#include "ctl/path_mtu.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/packet/builder.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::ctl {
namespace {

using packet::ip4;
using packet::ip6;
using packet::Packet;
using Learnt = PathMtus::Learnt;

net::Address address(std::string_view text) {
  return net::Address::parse(text).value();
}

constexpr std::string_view kSelf4 = "10.0.0.1", kBackend4 = "10.9.0.11", kSelf6 = "2001:db8:1::1",
                           kBackend6 = "2001:db8:9::11", kRouter4 = "10.0.0.254", kRouter6 = "2001:db8:1::fe",
                           kVip4 = "192.0.2.10", kVip6 = "2001:db8::10", kClient4 = "198.51.100.7",
                           kClient6 = "2001:db8:c::7";

Packet inner4(std::string_view to = kVip4) {
  return ip4(kClient4, to).tcp(40000, 80).payload_size(1400);
}
Packet inner6(std::string_view to = kVip6) {
  return ip6(kClient6, to).tcp(40000, 80).payload_size(1400);
}
// The first n bytes of an IP packet.
std::string head(const Packet& p, size_t n) {
  const packet::Bytes b = p.bytes();
  return {b.begin(), b.begin() + static_cast<ptrdiff_t>(std::min(n, b.size()))};
}
// As the raw sockets give them.
packet::Bytes needed4(const Packet& quoted, uint32_t mtu, size_t bytes = 548, uint8_t code = 4) {
  return ip4(kRouter4, kSelf4).icmp(3, code, mtu).payload(head(quoted, bytes)).bytes();
}
packet::Bytes too_big6(const Packet& quoted, uint32_t mtu, size_t bytes = 1232) {
  const packet::Bytes b = ip6(kRouter6, kSelf6).icmp6(2, 0, mtu).payload(head(quoted, bytes)).bytes();
  return {b.begin() + 40, b.end()};
}
std::optional<MtuReport> read6(const packet::Bytes& message) {
  return read_report6(address(kRouter6), message);
}

TEST(MtuReport, OfAnIpv4Tunnel) {
  for (const Packet& inner : {inner4(), inner6()}) {
    const bool v4 = inner.bytes()[0] >> 4 == 4;
    const auto r = read_report4(needed4(ip4(kSelf4, kBackend4).then(inner), 1400));
    ASSERT_TRUE(r);
    EXPECT_EQ(address(kRouter4), r->from);
    EXPECT_EQ(address(kSelf4), r->source);
    EXPECT_EQ(address(kBackend4), r->backend);
    EXPECT_EQ(1400u, r->mtu);
    EXPECT_EQ(20 + inner.bytes().size(), r->length);
    EXPECT_EQ(address(v4 ? kVip4 : kVip6), r->inner_destination);
  }
}

TEST(MtuReport, OfAnIpv6Tunnel) {
  for (const Packet& inner : {inner4(), inner6()}) {
    const bool v4 = inner.bytes()[0] >> 4 == 4;
    const auto r = read6(too_big6(ip6(kSelf6, kBackend6).then(inner), 1400));
    ASSERT_TRUE(r);
    EXPECT_EQ(address(kRouter6), r->from);
    EXPECT_EQ(address(kSelf6), r->source);
    EXPECT_EQ(address(kBackend6), r->backend);
    EXPECT_EQ(1400u, r->mtu);
    EXPECT_EQ(40 + inner.bytes().size(), r->length);
    EXPECT_EQ(address(v4 ? kVip4 : kVip6), r->inner_destination);
  }
}

TEST(MtuReport, MayQuoteEightBytesOfTheInnerPacket) {
  const auto r = read_report4(needed4(ip4(kSelf4, kBackend4).then(inner4()), 1400, 28));
  ASSERT_TRUE(r);
  EXPECT_FALSE(r->inner_destination);
  EXPECT_TRUE(read_report4(needed4(ip4(kSelf4, kBackend4).then(inner4()), 1400, 20)));
  EXPECT_FALSE(read_report4(needed4(ip4(kSelf4, kBackend4).then(inner4()), 1400, 19)));
  EXPECT_TRUE(read6(too_big6(ip6(kSelf6, kBackend6).then(inner4()), 1400, 40)));
  EXPECT_FALSE(read6(too_big6(ip6(kSelf6, kBackend6).then(inner4()), 1400, 39)));
}

TEST(MtuReport, IsNothingElse) {
  const Packet tunnel4 = ip4(kSelf4, kBackend4).then(inner4()), tunnel6 = ip6(kSelf6, kBackend6).then(inner4());
  EXPECT_FALSE(read_report4(needed4(tunnel4, 1400, 548, 3))) << "port unreachable";
  packet::Bytes wrong = needed4(tunnel4, 1400);
  wrong.back() ^= 1;
  EXPECT_FALSE(read_report4(wrong)) << "its checksum";
  EXPECT_FALSE(read_report4(needed4(ip4(kSelf4, kBackend4).udp(1, 2), 1400))) << "no tunnel";
  EXPECT_FALSE(read_report4(needed4(ip4(kSelf4, kBackend4, {.mf = true}).then(inner4()), 1400))) << "a fragment";
  EXPECT_FALSE(read_report4(needed4(ip4(kSelf4, kBackend4, {.options = {1}}).then(inner4()), 1400))) << "options";
  EXPECT_FALSE(read_report4(needed4(ip4(kSelf4, kBackend4, {.proto = 41}).then(inner4()), 1400)))
      << "4 as if it were 6";
  packet::Bytes other = too_big6(tunnel6, 1400);
  other[0] = 3;
  EXPECT_FALSE(read6(other)) << "time exceeded";
  EXPECT_FALSE(read6(too_big6(ip6(kSelf6, kBackend6).tcp(1, 2), 1400))) << "no tunnel";
}

// The buffers end where the packets end: AddressSanitizer is the judge.
TEST(MtuReport, ReadsNothingBehindWhatThereIs) {
  std::mt19937 random(7);
  const packet::Bytes four = needed4(ip4(kSelf4, kBackend4).then(inner4()), 1400, 60),
                      six = too_big6(ip6(kSelf6, kBackend6).then(inner6()), 1400, 100);
  for (int i = 0; i < 20000; i++) {
    packet::Bytes a = four, b = six;
    for (int k = 0; k < 3; k++) {
      a[random() % a.size()] = static_cast<uint8_t>(random());
      b[random() % b.size()] = static_cast<uint8_t>(random());
    }
    const packet::Bytes x(a.begin(), a.begin() + static_cast<ptrdiff_t>(random() % (a.size() + 1))),
        y(b.begin(), b.begin() + static_cast<ptrdiff_t>(random() % (b.size() + 1)));
    read_report4(x);
    read_report6(address(kRouter6), y);
  }
}

class PathMtu : public testing::Test {
 protected:
  PathMtu() {
    snapshot_.own(kVip4);
    snapshot_.own(kVip6);
    for (const auto& [backend, source] : {std::pair{kBackend4, kSelf4}, std::pair{kBackend6, kSelf6}}) {
      model::Reach& r = topology_.reach[address(backend)];
      r.resolved = true;
      r.source = address(source);
      r.mtu = 1500;
    }
  }
  Learnt learn4(uint32_t mtu, int64_t now = 1000, uint32_t length = 1500, std::string_view source = kSelf4,
                std::string_view backend = kBackend4, std::optional<net::Address> inner = address(kVip4)) {
    return known_.learn({address(kRouter4), address(source), address(backend), mtu, length, inner}, topology_,
                        snapshot_.get(), now);
  }
  Learnt learn6(uint32_t mtu) {
    return known_.learn({address(kRouter6), address(kSelf6), address(kBackend6), mtu, 1500, {}}, topology_,
                        snapshot_.get(), 1000);
  }
  uint16_t mtu(std::string_view backend = kBackend4) {
    model::Topology t = topology_;
    known_.apply(t);
    const model::Reach& r = t.reach[address(backend)];
    EXPECT_EQ(r.mtu == 1500 ? model::MtuFrom::kInterface : model::MtuFrom::kPath, r.mtu_from);
    return r.mtu;
  }

  stages::SmallSnapshot snapshot_;
  model::Topology topology_;
  PathMtus known_;
};

TEST_F(PathMtu, OnlyFalls) {
  EXPECT_EQ(1500, mtu());
  EXPECT_EQ(Learnt::kIgnored, learn4(1500));
  EXPECT_EQ(Learnt::kIgnored, learn4(9000));
  EXPECT_EQ(Learnt::kChanged, learn4(1400));
  EXPECT_EQ(1400, mtu());
  EXPECT_EQ(Learnt::kIgnored, learn4(1450)) << "before the snapshot with 1400 is in use";
  EXPECT_EQ(Learnt::kChanged, learn4(1300));
  EXPECT_EQ(1300, mtu());
  EXPECT_EQ(1500, mtu(kBackend6)) << "another backend";
  topology_.reach[address(kBackend4)].mtu = 1280;
  model::Topology t = topology_;
  known_.apply(t);
  EXPECT_EQ(t, topology_) << "the kernel's is smaller";
}

TEST_F(PathMtu, LastsTenMinutesFromTheLastReport) {
  EXPECT_EQ(Learnt::kChanged, learn4(1400, 1000));
  EXPECT_EQ(Learnt::kAgain, learn4(1400, 1100));
  EXPECT_EQ(1100, known_.find(address(kBackend4))->since);
  EXPECT_FALSE(known_.expire(1699));
  EXPECT_EQ(1400, mtu());
  EXPECT_TRUE(known_.expire(1700));
  EXPECT_EQ(1500, mtu());
  EXPECT_TRUE(known_.empty());
}

TEST_F(PathMtu, IsBelievedOfPacketsOfOursOnly) {
  EXPECT_EQ(Learnt::kIgnored, learn4(1400, 1000, 1500, "10.0.0.2")) << "not our source";
  EXPECT_EQ(Learnt::kIgnored, learn4(1400, 1000, 1500, kSelf4, "10.9.0.99")) << "no backend";
  EXPECT_EQ(Learnt::kIgnored, learn4(1400, 1000, 1500, kSelf4, kBackend4, address("192.0.2.99"))) << "no listener";
  topology_.reach[address(kBackend4)].resolved = false;
  EXPECT_EQ(Learnt::kIgnored, learn4(1400)) << "no way to it";
  topology_.reach[address(kBackend4)].resolved = true;
  EXPECT_EQ(Learnt::kChanged, learn4(1400, 1000, 1500, kSelf4, kBackend4, std::nullopt)) << "not quoted that far";
}

TEST_F(PathMtu, HasAFloor) {
  EXPECT_EQ(Learnt::kIgnored, learn4(87));
  EXPECT_EQ(Learnt::kChanged, learn4(88));
  EXPECT_EQ(576, mtu());
  EXPECT_EQ(Learnt::kIgnored, learn6(1279)) << "RFC 8201 section 4";
  EXPECT_EQ(Learnt::kIgnored, learn6(0));
  EXPECT_EQ(Learnt::kIgnored, learn6(0x10000000));
  EXPECT_EQ(Learnt::kChanged, learn6(1280));
  EXPECT_EQ(1280, mtu(kBackend6));
}

TEST_F(PathMtu, IsAPlateauWhereTheRouterDoesNotSay) {
  EXPECT_EQ(Learnt::kChanged, learn4(0, 1000, 1500));
  EXPECT_EQ(1492, mtu());
  EXPECT_EQ(Learnt::kChanged, learn4(0, 1000, 1492));
  EXPECT_EQ(1006, mtu());
  EXPECT_EQ(Learnt::kChanged, learn4(0, 1000, 1006));
  EXPECT_EQ(576, mtu()) << "508, and the floor";
  EXPECT_EQ(Learnt::kIgnored, learn4(0, 1000, 300)) << "68";
}

TEST_F(PathMtu, IsForgottenWithItsBackend) {
  learn4(1400);
  learn6(1400);
  known_.keep_only({address(kBackend6)});
  EXPECT_EQ(nullptr, known_.find(address(kBackend4)));
  EXPECT_NE(nullptr, known_.find(address(kBackend6)));
  topology_.reach.erase(address(kBackend6));
  known_.apply(topology_);
  EXPECT_FALSE(topology_.reach.contains(address(kBackend6)));
}

}  // namespace
}  // namespace lb::ctl
