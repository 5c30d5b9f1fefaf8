#include "dataplane/stages/answer.h"

#include <gtest/gtest.h>

#include "dataplane/stages/pipeline.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::stages {
namespace {

using packet::Bytes;
using packet::eth;
using packet::ip4;
using packet::ip6;
using packet::Packet;

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10", kClient4 = "198.51.100.7",
                           kClient6 = "2001:db8:c::7", kPort4 = "203.0.113.1", kPort6 = "2001:db8:9::1";
constexpr uint16_t kIngress = 3;

Packet back() {
  return eth(packet::kRouterMac, packet::kPortMac);
}
// The first bytes of an IP packet.
std::string quoted(const Packet& ip, size_t bytes) {
  const Bytes all = ip.bytes();
  return {all.begin(), all.begin() + static_cast<ptrdiff_t>(bytes)};
}

class Answer : public testing::Test {
 protected:
  Answer() {
    // Backends of MTU 1500, and one that has room for less than IPv6 asks for.
    s_.serve({s_.add_backend("10.0.0.11", "10.0.0.1")});
    s_.serve({s_.add_backend("2001:db8:1::12", "2001:db8:1::1")});
    s_.serve({s_.add_backend("10.0.0.13", "10.0.0.1", 1290)});
    s_.serve({1}, LB_FORWARD_DSR);
    for (const auto& vip : {kVip4, kVip6}) {
      s_.own(vip, LB_ADDR_USED | LB_ADDR_REJECT);
      for (uint16_t service = 0; service < 4; service++)
        s_.listen(vip, static_cast<uint16_t>(80 + service), LB_PROTO_TCP, service);
    }
    s_.own("192.0.2.99");
    answers_->tick(1'000'000);
  }
  void give_the_port_addresses() {
    s_.get().port_addresses.resize(kIngress + 1);
    s_.get().port_addresses[kIngress] = {.ipv4 = net::Address::parse(kPort4).value(),
                                         .ipv6 = net::Address::parse(kPort6).value()};
  }
  void pass(Frames& f) {
    f.batch.ingress = kIngress;
    run(f.batch, s_.get(), {.flows = nullptr, .fragments = nullptr, .answers = answers_.get()});
  }
  void expect(const Packet& want, const Packet& in) {
    Frames f({in.bytes()});
    pass(f);
    ASSERT_EQ(Verdict::kAnswer, f.batch.verdict[0]) << "reason " << int{f.batch.reason[0]};
    EXPECT_EQ(packet::difference(want.bytes(), f.bytes(0)), "");
    EXPECT_EQ(kIngress, f.batch.egress[0]);
  }
  void expect_silence(Drop why, const Packet& in) {
    Frames f({in.bytes()});
    pass(f);
    EXPECT_EQ(Verdict::kDrop, f.batch.verdict[0]);
    EXPECT_EQ(why, f.batch.reason[0]);
    EXPECT_EQ(packet::difference(in.bytes(), f.bytes(0)), "") << "it is as it came in";
  }
  // How many of n get an answer.
  size_t answered(size_t n, const Packet& in) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
      Frames f({in.bytes()});
      pass(f);
      count += f.batch.verdict[0] == Verdict::kAnswer;
    }
    return count;
  }

  SmallSnapshot s_;
  std::unique_ptr<Answers> answers_ = std::make_unique<Answers>();
};

Packet ping4(size_t payload = 56, const packet::Ip4& o = {}) {
  return ip4(kClient4, kVip4, o).icmp(8, 0, 0x12340007).payload_size(payload);
}

TEST_F(Answer, EchoesWhatItWasSent) {
  for (const size_t payload : {0u, 1u, 56u, 57u, 1400u}) {
    expect(back().ip4(kVip4, kClient4).icmp(0, 0, 0x12340007).payload_size(payload),
           eth().then(ping4(payload, {.ttl = 1})));
    expect(back().ip6(kVip6, kClient6).icmp6(129, 0, 0x12340007).payload_size(payload),
           eth().ip6(kClient6, kVip6, {.hop_limit = 1}).icmp6(128, 0, 0x12340007).payload_size(payload));
  }
}

TEST_F(Answer, EchoesWithTheRequestsTosIdAndDf) {
  expect(back().ip4(kVip4, kClient4, {.tos = 0xb9, .id = 77, .df = false}).icmp(0, 0, 0x12340007).payload_size(8),
         eth().then(ping4(8, {.tos = 0xb9, .id = 77, .df = false})));
  expect(back().ip6(kVip6, kClient6, {.tos = 0xb9}).icmp6(129).payload_size(8),
         eth().ip6(kClient6, kVip6, {.tos = 0xb9, .label = 5}).icmp6(128).payload_size(8));
}

TEST_F(Answer, EchoesWithoutOptionsExtensionsAndPadding) {
  expect(back().ip4(kVip4, kClient4).icmp(0, 0, 0x12340007).payload_size(3),
         eth().then(ping4(3, {.options = {7, 7, 4, 0, 0, 0, 0}})).padding(15));
  expect(back().ip6(kVip6, kClient6).icmp6(129, 0, 9).payload_size(3),
         eth().ip6(kClient6, kVip6).extension(0, 16).extension(60).icmp6(128, 0, 9).payload_size(3).padding(9));
}

// A sum of nothing but zeros is 0xffff in the field; an incremental update has no way to know.
TEST_F(Answer, EchoesAMessageOfZeros) {
  Frames f({eth().ip4(kClient4, kVip4).icmp(8).bytes()});
  pass(f);
  const Bytes out = f.bytes(0);
  EXPECT_EQ(Bytes({0, 0, 0xff, 0xff, 0, 0, 0, 0}), Bytes(out.begin() + 34, out.end()));
}

TEST_F(Answer, GoesBackBehindTheTags) {
  const auto tags = [](Packet p) { return p.vlan(5, 0x88a8).vlan(6); };
  expect(tags(back()).ip4(kVip4, kClient4).icmp(0, 0, 0x12340007).payload_size(56), tags(eth()).then(ping4()));
  const Packet dying = ip6(kClient6, kVip6, {.hop_limit = 1}).tcp(40000, 80);
  expect(tags(back()).ip6(kVip6, kClient6, {.tos = 0xc0}).icmp6(3).then(dying), tags(eth()).then(dying));
  expect(tags(back()).ip4(kVip4, kClient4).tcp(99, 40000, {.flags = 0x14, .seq = 0, .ack = 2, .window = 0}),
         tags(eth()).ip4(kClient4, kVip4).tcp(40000, 99).padding(6));
}

TEST_F(Answer, TellsThatAHopLimitIsReached) {
  const Packet four = ip4(kClient4, kVip4, {.tos = 3, .ttl = 1, .options = {1, 1, 1, 1}}).tcp(40000, 80).payload("odd");
  const Packet six = ip6(kClient6, kVip6, {.hop_limit = 0}).extension(60).tcp(40000, 80);
  expect(back().ip4(kVip4, kClient4, {.tos = 0xc0}).icmp(11).then(four), eth().then(four).padding(7));
  expect(back().ip6(kVip6, kClient6, {.tos = 0xc0}).icmp6(3).then(six), eth().then(six));
  give_the_port_addresses();
  expect(back().ip4(kPort4, kClient4, {.tos = 0xc0}).icmp(11).then(four), eth().then(four));
  expect(back().ip6(kPort6, kClient6, {.tos = 0xc0}).icmp6(3).then(six), eth().then(six));
}

TEST_F(Answer, QuotesAsMuchAsFits) {
  for (const size_t payload : {508u, 509u, 1400u}) {  // 548 bytes fit, 40 of them are headers
    const Packet p = ip4(kClient4, kVip4, {.ttl = 1}).tcp(40000, 80).payload_size(payload);
    const auto quote = quoted(p, std::min<size_t>(548, 40 + payload));
    expect(back().ip4(kVip4, kClient4, {.tos = 0xc0}).icmp(11).payload(quote), eth().then(p));
  }
  for (const size_t payload : {1172u, 1173u, 1300u}) {  // 1232 fit
    const Packet p = ip6(kClient6, kVip6, {.hop_limit = 1}).tcp(40000, 80).payload_size(payload);
    const auto quote = quoted(p, std::min<size_t>(1232, 60 + payload));
    expect(back().ip6(kVip6, kClient6, {.tos = 0xc0}).icmp6(3).payload(quote), eth().then(p));
  }
}

TEST_F(Answer, TellsTheMtuThatFits) {
  give_the_port_addresses();
  const auto sized4 = [](uint16_t port, size_t bytes) {
    return ip4(kClient4, kVip4).tcp(40000, port).payload_size(bytes - 40);
  };
  const auto sized6 = [](uint16_t port, size_t bytes) {
    return ip6(kClient6, kVip6).tcp(40000, port).payload_size(bytes - 60);
  };
  struct Want {
    uint16_t port;
    uint32_t mtu4, mtu6;
  };
  for (const Want& w : {Want{80, 1480, 1480}, Want{81, 1460, 1460}, Want{82, 1270, 1280}, Want{83, 1500, 1500}}) {
    SCOPED_TRACE(w.port);
    const Packet four = sized4(w.port, w.mtu4 + 1);
    expect(back().ip4(kPort4, kClient4, {.tos = 0xc0}).icmp(3, 4, w.mtu4).payload(quoted(four, 548)), eth().then(four));
    if (w.port == 83) continue;  // by dsr the backend's family counts
    const Packet six = sized6(w.port, w.mtu6 + 1);
    expect(back().ip6(kPort6, kClient6, {.tos = 0xc0}).icmp6(2, 0, w.mtu6).payload(quoted(six, 1232)), eth().then(six));
  }
  // No host sends less than 1,280 bytes for an answer.
  expect_silence(LB_DROP_TooBig, eth().then(sized6(82, 1280)));
}

TEST_F(Answer, ChangesNothingOfAPacketThatIsNotAnswered) {
  answers_ = nullptr;
  expect_silence(LB_DROP_TtlExpired, eth().then(ip4(kClient4, kVip4, {.ttl = 1}).tcp(40000, 80).payload_size(1500)));
  expect_silence(LB_DROP_TooBig, eth().then(ip4(kClient4, kVip4, {.ttl = 2}).tcp(40000, 80).payload_size(1500)));
  expect_silence(LB_DROP_TooBig, eth().then(ip6(kClient6, kVip6).tcp(40000, 80).payload_size(1500)));
  expect_silence(LB_DROP_EchoLimited, eth().then(ping4()));
  expect_silence(LB_DROP_NoListener, eth().ip4(kClient4, kVip4).udp(1, 2));
}

TEST_F(Answer, SaysThatNobodyListens) {
  const Packet four = ip4(kClient4, kVip4).udp(40000, 33434).payload_size(32);
  const Packet six = ip6(kClient6, kVip6).udp(40000, 33434).payload_size(32);
  give_the_port_addresses();  // it is the address itself that answers
  expect(back().ip4(kVip4, kClient4, {.tos = 0xc0}).icmp(3, 3).then(four), eth().then(four));
  expect(back().ip6(kVip6, kClient6, {.tos = 0xc0}).icmp6(1, 4).then(six), eth().then(six));
  const Packet gre = ip4(kClient4, kVip4, {.proto = 47}).payload_size(8);
  expect(back().ip4(kVip4, kClient4, {.tos = 0xc0}).icmp(3, 3).then(gre), eth().then(gre));
  expect_silence(LB_DROP_NoListener, eth().ip4(kClient4, "192.0.2.99").udp(40000, 33434));
}

TEST_F(Answer, ResetsAsAClosedPortDoes) {
  struct Row {
    packet::Tcp in;
    size_t payload;
    packet::Tcp out;
  };
  const std::vector<Row> rows = {
      {{.flags = 0x02, .seq = 1000}, 0, {.flags = 0x14, .seq = 0, .ack = 1001, .window = 0}},     // SYN
      {{.flags = 0x02, .seq = 0xffffffff}, 0, {.flags = 0x14, .seq = 0, .ack = 0, .window = 0}},  // wraps
      {{.flags = 0x02, .seq = 5, .options = Bytes(8, 1)},
       7,
       {.flags = 0x14, .seq = 0, .ack = 13, .window = 0}},                                     // with data
      {{.flags = 0x03, .seq = 5}, 0, {.flags = 0x14, .seq = 0, .ack = 7, .window = 0}},        // SYN and FIN
      {{.flags = 0x00, .seq = 5}, 3, {.flags = 0x14, .seq = 0, .ack = 8, .window = 0}},        // no flags
      {{.flags = 0x10, .seq = 5, .ack = 4711}, 3, {.flags = 0x04, .seq = 4711, .window = 0}},  // ACK
      {{.flags = 0x12, .seq = 5, .ack = 4711}, 0, {.flags = 0x04, .seq = 4711, .window = 0}},  // SYN+ACK
      {{.flags = 0x11, .seq = 5, .ack = 0}, 0, {.flags = 0x04, .seq = 0, .window = 0}},        // FIN+ACK
  };
  for (const Row& r : rows) {
    SCOPED_TRACE(int{r.in.flags});
    for (const bool six : {false, true}) {
      Packet in = six ? eth().ip6(kClient6, kVip6, {.tos = 0xbb}) : eth().ip4(kClient4, kVip4, {.tos = 0xbb});
      Frames f({in.tcp(40000, 99, r.in).payload_size(r.payload).bytes()});
      pass(f);
      ASSERT_EQ(Verdict::kAnswer, f.batch.verdict[0]);
      Packet out = six ? back().ip6(kVip6, kClient6, {.tos = 0xb8}) : back().ip4(kVip4, kClient4, {.tos = 0xb8});
      EXPECT_EQ(packet::difference(out.tcp(99, 40000, r.out).bytes(), f.bytes(0)), "");
    }
  }
}

TEST_F(Answer, IsSilentAboutWhatMustNotBeAnswered) {
  const auto no_port = [](const packet::Ip4& o = {}) { return ip4(kClient4, kVip4, o); };
  expect_silence(LB_DROP_NoListener, eth().then(no_port()).tcp(40000, 99, {.flags = 0x04}));
  expect_silence(LB_DROP_NoListener, eth().then(no_port()).tcp(40000, 99, {.flags = 0x14}));
  // ICMPv6 in IPv4, which may be an error just as well.
  expect_silence(LB_DROP_NoListener, eth().then(no_port({.proto = 58})).payload_size(40));
  expect_silence(LB_DROP_NoListener, eth().ip6(kClient6, kVip6, {.next = 1}).payload_size(40));
  // Class E, and a frame that claims to come from a group.
  expect_silence(LB_DROP_EchoLimited, eth().ip4("240.0.0.1", kVip4).icmp(8));
  expect_silence(LB_DROP_NoListener, eth().ip4("255.255.255.254", kVip4).udp(1, 2));
  expect_silence(LB_DROP_EchoLimited, eth(packet::kPortMac, "03:00:00:00:00:01").then(ping4()));
}

// What other stages decide is put there by hand.
TEST_F(Answer, IsSilentAboutErrorsAndFragmentsButTheFirst) {
  const auto refused = [&](const Packet& in, bool quoting) {
    Frames f({in.bytes()});
    Batch& b = f.batch;
    b.ingress = kIngress;
    run(b, s_.get(), {.flows = nullptr, .fragments = nullptr, .answers = nullptr});
    b.refuse(0, LB_DROP_TtlExpired);
    if (quoting) b.quoting |= 1;
    answer(b, s_.get(), answers_.get());
    return b.verdict[0] == Verdict::kAnswer;
  };
  const Packet whole = eth().ip4(kClient4, kVip4, {.ttl = 1}).tcp(40000, 80);
  EXPECT_TRUE(refused(whole, false));
  EXPECT_FALSE(refused(whole, true));
  const auto four = [](uint16_t offset, bool more) {
    return eth()
        .ip4(kClient4, kVip4, {.ttl = 1, .df = false, .mf = more, .offset = offset, .proto = 17})
        .payload_size(64);
  };
  EXPECT_TRUE(refused(four(0, true), false));
  EXPECT_FALSE(refused(four(8, true), false));
  EXPECT_FALSE(refused(four(8, false), false));
  const auto six = [](uint16_t offset, bool more) {
    return eth().ip6(kClient6, kVip6, {.hop_limit = 1}).extension(0).fragment6(offset, more).udp(1, 2).payload_size(64);
  };
  EXPECT_TRUE(refused(six(0, true), false));
  EXPECT_FALSE(refused(six(8, true), false));
  EXPECT_FALSE(refused(six(8, false), false));
}

TEST_F(Answer, NeedsRoomInFrontForErrorsAlone) {
  const Packet dying4 = eth().ip4(kClient4, kVip4, {.ttl = 1}).tcp(40000, 80);
  const Packet dying6 = eth().ip6(kClient6, kVip6, {.hop_limit = 1}).tcp(40000, 80);
  const auto verdict = [&](const Packet& p, uint16_t headroom) {
    Frames f({p.bytes()}, true, headroom);
    const uint8_t* start = f.batch.data[0] - headroom;
    pass(f);
    EXPECT_EQ(f.batch.headroom[0], f.batch.data[0] - start);
    return f.batch.verdict[0];
  };
  EXPECT_EQ(Verdict::kAnswer, verdict(dying4, 28));
  EXPECT_EQ(Verdict::kDrop, verdict(dying4, 27));
  EXPECT_EQ(Verdict::kAnswer, verdict(dying6, 48));
  EXPECT_EQ(Verdict::kDrop, verdict(dying6, 47));
  EXPECT_EQ(Verdict::kAnswer, verdict(eth().then(ping4(0, {.options = Bytes(40, 1)})), 0));
  EXPECT_EQ(Verdict::kAnswer, verdict(eth().ip6(kClient6, kVip6).icmp6(128), 0));
  EXPECT_EQ(Verdict::kAnswer, verdict(eth().ip4(kClient4, kVip4).tcp(1, 99), 0));
  EXPECT_EQ(Verdict::kAnswer, verdict(eth().ip6(kClient6, kVip6).tcp(1, 99), 0));
}

TEST_F(Answer, LimitsErrorsBySource) {
  const auto closed = [](std::string_view from) { return eth().ip4(from, kVip4).udp(1, 2); };
  const auto closed6 = [](std::string_view from) { return eth().ip6(from, kVip6).udp(1, 2); };
  EXPECT_EQ(20u, answered(50, closed(kClient4)));
  EXPECT_EQ(0u, answered(50, eth().ip4(kClient4, kVip4, {.ttl = 1}).tcp(1, 80))) << "one budget for all of them";
  EXPECT_EQ(20u, answered(50, closed("198.51.100.8")));
  EXPECT_EQ(20u, answered(50, closed6("2001:db8:c::7")));
  EXPECT_EQ(0u, answered(50, closed6("2001:db8:c::ffff:8"))) << "the same /64";
  EXPECT_EQ(20u, answered(50, closed6("2001:db8:c:1::7")));
  answers_->tick(1'001'000);
  EXPECT_EQ(10u, answered(50, closed(kClient4)));
}

TEST_F(Answer, LimitsEchoByTheTotalAlone) {
  EXPECT_EQ(1000u, answered(1500, eth().then(ping4())));
  EXPECT_EQ(0u, answered(1, eth().ip4(kClient4, kVip4).udp(1, 2)));
  answers_->tick(1'000'001);
  EXPECT_EQ(10u, answered(50, eth().then(ping4())));
}

TEST_F(Answer, KeepsABudgetForTooBig) {
  const Packet big = eth().ip4(kClient4, kVip4).tcp(1, 80).payload_size(1500);
  EXPECT_EQ(1000u, answered(1001, eth().then(ping4())));
  EXPECT_EQ(20u, answered(50, big));
  EXPECT_EQ(0u, answered(1, eth().then(ping4())));
}

}  // namespace
}  // namespace lb::stages
