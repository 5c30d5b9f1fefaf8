#include <fmt/format.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "tests/unit/xdp/decap_run.h"
#include "xdp/decap_abi.h"

namespace lb::xdp {
namespace {

using packet::Bytes;
using packet::eth;
using packet::ip4;
using packet::ip6;
using packet::Packet;
using namespace std::string_literals;

enum class Tunnel : uint8_t { kIpip, kGue0, kGue1 };

// One of the twelve ways to wrap a packet, with the ECN fields of both headers.
struct Wrap {
  bool outer6 = false;
  Tunnel tunnel = Tunnel::kIpip;
  bool inner6 = false;

  std::string name() const {
    const char* names[] = {"ipip", "gue0", "gue1"};
    return fmt::format("{} {} in {}", names[static_cast<int>(tunnel)], inner6 ? 6 : 4, outer6 ? 6 : 4);
  }
};

std::vector<Wrap> every_wrap() {
  std::vector<Wrap> out;
  for (const bool outer6 : {false, true})
    for (const Tunnel tunnel : {Tunnel::kIpip, Tunnel::kGue0, Tunnel::kGue1})
      for (const bool inner6 : {false, true}) out.push_back({outer6, tunnel, inner6});
  return out;
}

constexpr uint8_t kDscp = 0x28;

Packet inner(bool v6, uint8_t ecn = 0) {
  const uint8_t tos = kDscp | ecn;
  Packet p = v6 ? ip6(kClient6, kVip6, {.tos = tos, .label = 0xabcde}) : ip4(kClient4, kVip4, {.tos = tos, .id = 77});
  return p.tcp(40000, 80, {.flags = 0x18}).payload("GET / HTTP/1.1\r\n");
}

Packet outer(bool v6, uint8_t ecn = 0, const char* source = nullptr) {
  Packet p = eth(kOwnMac);
  return v6 ? p.ip6(source ? source : kLb6, kSelf6, {.tos = ecn}) : p.ip4(source ? source : kLb4, kSelf4, {.tos = ecn});
}

Packet gue0(Packet outer, bool inner6) {
  const char header[] = {0, static_cast<char>(inner6 ? 41 : 4), 0, 0};
  return outer.udp(50000, 6080).payload(std::string_view(header, sizeof header));
}

Packet around(const Wrap& w, Packet outside, const Packet& inside) {
  if (w.tunnel == Tunnel::kIpip) return outside.then(inside);
  if (w.tunnel == Tunnel::kGue1) return outside.udp(50000, 6080).then(inside);
  return gue0(outside, w.inner6).then(inside);
}

Bytes plain(Packet inside) {
  return eth(kOwnMac).then(inside).bytes();
}

uint64_t ip_bytes(const Packet& inside) {
  return plain(inside).size() - 14;
}

class Decap : public DecapRun {};

TEST_F(Decap, TakesEveryTunnelOffByteForByte) {
  Counters expected;
  for (const Wrap& w : every_wrap()) {
    const Packet in = inner(w.inner6);
    const Ran ran = run(around(w, outer(w.outer6), in).bytes());
    EXPECT_EQ(ran.verdict, kContinue) << w.name();
    EXPECT_EQ(packet::difference(plain(in), ran.bytes), "") << w.name();
    expected[w.tunnel == Tunnel::kIpip ? "decapsulated_ipip" : "decapsulated_gue"]++;
    expected["decapsulated_bytes"] += ip_bytes(in);
    EXPECT_EQ(counters(), expected) << w.name();
  }
}

TEST_F(Decap, TakesTheSmallestAndTheLargestPacketOut) {
  for (const Wrap& w : every_wrap()) {
    for (const size_t payload : {0, 1, 1400}) {
      Packet in = w.inner6 ? ip6(kClient6, kVip6) : ip4(kClient4, kVip4);
      in.udp(40000, 53).payload_size(payload);
      const Ran ran = run(around(w, outer(w.outer6), in).bytes());
      EXPECT_EQ(ran.verdict, kContinue) << w.name() << payload;
      EXPECT_EQ(packet::difference(plain(in), ran.bytes), "") << w.name() << payload;
    }
  }
}

// RFC 6040 section 4.2, figure 4, as printed: rows inner, columns outer, in the order Not-ECT, ECT(0), ECT(1), CE.
TEST_F(Decap, CombinesEcnAsRfc6040Says) {
  constexpr uint8_t kNot = 0, kEct1 = 1, kEct0 = 2, kCe = 3;
  constexpr int kDrop = -1;
  const std::array<uint8_t, 4> order = {kNot, kEct0, kEct1, kCe};
  const int figure[4][4] = {
      {kNot, kNot, kNot, kDrop}, {kEct0, kEct0, kEct1, kCe}, {kEct1, kEct1, kEct1, kCe}, {kCe, kCe, kCe, kCe}};
  uint64_t dropped = 0, ce = 0, ect1 = 0;
  for (const Wrap& w : every_wrap()) {
    for (size_t row = 0; row < 4; row++) {
      for (size_t column = 0; column < 4; column++) {
        const uint8_t in = order[row], out = order[column];
        const int expected = figure[row][column];
        const Ran ran = run(around(w, outer(w.outer6, out), inner(w.inner6, in)).bytes());
        const std::string what = fmt::format("{}, inner {} outer {}", w.name(), in, out);
        EXPECT_EQ(ran.verdict, expected == kDrop ? kShot : kContinue) << what;
        if (expected == kDrop) {
          dropped++;
          continue;
        }
        EXPECT_EQ(packet::difference(plain(inner(w.inner6, static_cast<uint8_t>(expected))), ran.bytes), "") << what;
        ce += in != expected && expected == kCe;
        ect1 += in != expected && expected == kEct1;
      }
    }
  }
  EXPECT_EQ(counters()["ecn_not_capable"], dropped);
  EXPECT_EQ(counters()["ecn_marked_ce"], ce);
  EXPECT_EQ(counters()["ecn_marked_ect1"], ect1);
}

TEST_F(Decap, ReadsPastOptionsAndExtensionHeadersOfTheOuterPacket) {
  const Packet in4 = inner(false), in6 = inner(true);
  const std::vector<Packet> outers = {
      eth(kOwnMac).ip4(kLb4, kSelf4, {.options = Bytes(4, 1)}),
      eth(kOwnMac).ip4(kLb4, kSelf4, {.options = Bytes(40, 1)}),
      eth(kOwnMac).ip6(kLb6, kSelf6).extension(60),
      eth(kOwnMac).ip6(kLb6, kSelf6).extension(0).extension(60, 24),
      eth(kOwnMac).ip6(kLb6, kSelf6).fragment6(0, false),  // atomic, RFC 6946
  };
  for (const Packet& o : outers) {
    for (const Packet& in : {in4, in6}) {
      const Bytes frame = Packet(o).then(in).bytes();
      const Ran ran = run(frame);
      EXPECT_EQ(ran.verdict, kContinue) << packet::describe(frame);
      EXPECT_EQ(packet::difference(plain(in), ran.bytes), "") << packet::describe(frame);
    }
  }
}

TEST_F(Decap, CutsNothingButTheOuterHeaderWhenTheFrameIsPadded) {
  Packet in = ip4(kClient4, kVip4);
  in.udp(1, 2);
  const Bytes frame = outer(false).then(in).padding(18).bytes();
  const Ran ran = run(frame);
  EXPECT_EQ(ran.verdict, kContinue);
  EXPECT_EQ(packet::difference(eth(kOwnMac).then(in).padding(18).bytes(), ran.bytes), "");
}

struct Refused {
  const char* counter;
  Bytes frame;
};

std::vector<Refused> refused_cases() {
  const Packet in4 = inner(false), in6 = inner(true);
  const auto cut_inner = [](bool v6, size_t from_end) {
    const Packet in = inner(v6);
    const Bytes whole = outer(false).then(in).bytes();
    return Packet(outer(false)).then(in).cut(whole.size() - from_end).bytes();
  };
  const auto gue = [&](std::string header) { return outer(false).udp(1, 6080).payload(header).then(in4).bytes(); };
  Packet other4 = ip4(kClient4, "192.0.2.11");
  other4.tcp(1, 2);
  Packet self6 = ip6(kClient6, kSelf6);
  self6.tcp(1, 2);
  return {
      {"source_not_allowed", outer(false, 0, "203.0.112.255").then(in4).bytes()},
      {"source_not_allowed", outer(false, 0, "203.0.114.0").then(in6).bytes()},
      {"source_not_allowed", outer(true, 0, "2001:db8:10::2").then(in4).bytes()},
      {"source_not_allowed", gue0(outer(false, 0, kClient4), false).then(in4).bytes()},
      {"source_not_allowed", eth(kOwnMac).ip4(kClient4, kSelf4, {.df = false, .mf = true}).then(in4).bytes()},
      {"inner_not_vip", outer(false).then(other4).bytes()},
      {"inner_not_vip", outer(true).then(self6).bytes()},
      {"inner_not_vip", outer(false).then(ip4(kLb4, kSelf4)).then(in4).bytes()},  // a tunnel in a tunnel
      {"outer_fragment", eth(kOwnMac).ip4(kLb4, kSelf4, {.df = false, .mf = true}).then(in4).bytes()},
      {"outer_fragment", eth(kOwnMac).ip4(kLb4, kSelf4, {.df = false, .offset = 3}).then(in4).bytes()},
      {"outer_fragment", gue0(eth(kOwnMac).ip4(kLb4, kSelf4, {.df = false, .mf = true}), false).then(in4).bytes()},
      {"outer_fragment", eth(kOwnMac).ip6(kLb6, kSelf6).fragment6(0, true).then(in6).bytes()},
      {"outer_malformed", eth(kOwnMac).ip4(kLb4, kSelf4, {.total_length = 2000}).then(in4).bytes()},
      {"outer_malformed", eth(kOwnMac).ip4(kLb4, kSelf4, {.total_length = 10}).then(in4).bytes()},
      {"outer_malformed", eth(kOwnMac).ip6(kLb6, kSelf6, {.payload_length = 2000}).then(in4).bytes()},
      {"outer_malformed", outer(false).udp(1, 6080, {.length = 2000}).then(in4).bytes()},
      {"outer_malformed", outer(false).udp(1, 6080, {.length = 9}).then(in4).bytes()},
      {"outer_checksum", eth(kOwnMac).ip4(kLb4, kSelf4, {.csum = 0x1234}).then(in4).bytes()},
      {"gue_unsupported", gue("\x20\x04\x00\x00"s)},                  // control message
      {"gue_unsupported", gue("\x01\x04\x00\x00\x00\x00\x00\x00"s)},  // optional fields
      {"gue_unsupported", gue("\x00\x04\x00\x01"s)},                  // private data
      {"gue_unsupported", gue("\x00\x11\x00\x00"s)},                  // UDP inside
      {"gue_unsupported", gue("\x80\x04\x00\x00"s)},                  // version 2
      {"gue_unsupported", gue("\x50\x04\x00\x00"s)},                  // version 1 with IP version 5
      {"inner_malformed", eth(kOwnMac).ip4(kLb4, kSelf4, {.proto = 41}).then(in4).bytes()},
      {"inner_malformed", eth(kOwnMac).ip4(kLb4, kSelf4, {.proto = 4}).then(in6).bytes()},
      {"inner_malformed", eth(kOwnMac).ip4(kLb4, kSelf4, {.proto = 4}).payload_size(19).bytes()},
      {"inner_malformed", outer(false).then(ip4(kClient4, kVip4, {.version_ihl = 0x44})).bytes()},
      {"inner_malformed", outer(false).then(ip4(kClient4, kVip4, {.total_length = 19})).bytes()},
      {"inner_malformed", outer(false).then(ip4(kClient4, kVip4, {.total_length = 21})).bytes()},
      {"inner_malformed", outer(true).then(ip6(kClient6, kVip6, {.payload_length = 1})).bytes()},
      {"outer_malformed", cut_inner(false, 1)},
      {"outer_malformed", cut_inner(true, 20)},
      {"ecn_not_capable", outer(false, 3).then(in4).bytes()},
  };
}

TEST_F(Decap, DropsAndCountsByName) {
  Counters expected;
  size_t n = 0;
  for (const Refused& c : refused_cases()) {
    const Ran ran = run(c.frame);
    expected[c.counter]++;
    EXPECT_EQ(ran.verdict, kShot) << "case " << n << ": " << c.counter << "\n" << packet::describe(c.frame);
    ASSERT_EQ(counters(), expected) << "case " << n << ": " << c.counter << "\n" << packet::describe(c.frame);
    n++;
  }
}

TEST_F(Decap, DropsWhatUdpGroMergedSinceOnlyTheFirstCouldBeFound) {
  Packet first = ip4(kClient4, kVip4, {.total_length = 40});
  first.tcp(40000, 80).payload_size(100);
  const Bytes merged = gue0(outer(false), false).then(first).bytes();
  EXPECT_EQ(run(merged, 100).verdict, kShot);
  EXPECT_EQ(counters(), (Counters{{"aggregated", 1}}));
}

TEST_F(Decap, CountsWhatTheKernelWillNotResize) {
  const Bytes merged_udp = gue0(outer(false), false).then(inner(false)).bytes();  // gso_size without a TCP type
  EXPECT_EQ(run(merged_udp, 100).verdict, kShot);
  EXPECT_EQ(counters(), (Counters{{"kernel_refused", 1}}));
}

TEST_F(Decap, LeavesEverythingElseAlone) {
  const Packet in4 = inner(false);
  const std::vector<Bytes> frames = {
      plain(inner(false)),
      plain(inner(true)),
      outer(false).udp(1, 6081).then(in4).bytes(),
      outer(false).udp(6080, 1).then(in4).bytes(),
      outer(false).icmp(8).bytes(),
      outer(true).icmp6(135).bytes(),
      outer(true).extension(43).then(in4).bytes(),                                      // routing header
      eth(kOwnMac).ip4(kLb4, kSelf4, {.df = false, .offset = 3}).udp(1, 6080).bytes(),  // no UDP header in it
      eth(kOwnMac).ip4(kLb4, kSelf4, {.version_ihl = 0x44}).then(in4).bytes(),
      eth("02:00:00:00:00:99").ip4(kLb4, kSelf4).then(in4).bytes(),  // to another host, seen in promiscuous mode
  };
  for (const Bytes& frame : frames) {
    const Ran ran = run(frame);
    EXPECT_EQ(ran.verdict, kContinue) << packet::describe(frame);
    EXPECT_EQ(packet::difference(frame, ran.bytes), "");
  }
  EXPECT_EQ(counters(), Counters());
}

TEST_F(Decap, LeavesTunnelPacketsToOtherOuterAddressesAlone) {
  const std::vector<Bytes> frames = {
      eth(kOwnMac).ip4(kLb4, "10.0.0.12").then(inner(false)).bytes(),
      eth(kOwnMac).ip4(kClient4, kVip4).then(inner(false)).bytes(),
      eth(kOwnMac).ip6(kLb6, "2001:db8:1::12").udp(1, 6080).then(inner(true)).bytes(),
  };
  for (const Bytes& frame : frames) {
    const Ran ran = run(frame);
    EXPECT_EQ(ran.verdict, kContinue) << packet::describe(frame);
    EXPECT_EQ(packet::difference(frame, ran.bytes), "");
  }
  EXPECT_EQ(counters(), (Counters{{"passed_not_for_us", frames.size()}}));
}

TEST_F(Decap, AnIpv6PrefixOfLengthZeroLetsNoIpv4SourceIn) {
  auto settings = default_settings();
  settings.from = {net::Prefix::parse("::/0").value()};
  load(settings);
  EXPECT_EQ(run(outer(true, 0, kClient6).then(inner(false)).bytes()).verdict, kContinue);
  EXPECT_EQ(run(outer(false).then(inner(false)).bytes()).verdict, kShot);
  settings.from = {net::Prefix::parse("0.0.0.0/0").value()};
  load(settings);
  EXPECT_EQ(run(outer(true).then(inner(false)).bytes()).verdict, kShot);
  EXPECT_EQ(run(outer(false, 0, kClient4).then(inner(true)).bytes()).verdict, kContinue);
}

TEST_F(Decap, NeverTouchesMutatedFramesBeyondOneVerdict) {
  uint32_t state = 1;  // a fixed sequence: xorshift32
  const auto next = [&state] {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
  };
  uint64_t shot = 0;
  const auto wraps = every_wrap();
  for (int i = 0; i < 5000; i++) {
    const Wrap& w = wraps[next() % wraps.size()];
    Bytes frame = around(w, outer(w.outer6), inner(w.inner6)).bytes();
    for (uint32_t n = next() % 4; n > 0; n--) frame[14 + next() % (frame.size() - 14)] = static_cast<uint8_t>(next());
    frame.resize(std::max<size_t>(14 + next() % frame.size(), 60));
    const Ran ran = run(frame);
    ASSERT_TRUE(ran.verdict == kContinue || ran.verdict == kShot) << packet::describe(frame);
    shot += ran.verdict == kShot;
  }
  uint64_t dropped = 0;
  for (const auto& c : all_counters()) dropped += c.dropped ? c.packets : 0;
  EXPECT_EQ(dropped, shot);
  EXPECT_GT(shot, 1000u);
}

TEST_F(Decap, SettingsReadBackAsTheyWereWritten) {
  auto settings = default_settings();
  settings.from.push_back(net::Prefix::parse("0.0.0.0/0").value());
  settings.from.push_back(net::Prefix::parse("::/0").value());
  settings.from.push_back(net::Prefix::parse("198.51.100.1/32").value());
  std::sort(settings.from.begin(), settings.from.end());
  settings.mss = 1400;
  load(settings);
  const auto read = read_decap_settings(program_info_of(program_->ingress_fd()).value());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, settings);
}

}  // namespace
}  // namespace lb::xdp
