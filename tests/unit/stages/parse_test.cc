#include "dataplane/stages/parse.h"

#include <gtest/gtest.h>

#include "tests/unit/stages/small_snapshot.h"

namespace lb::stages {
namespace {

using packet::eth;

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10", kClient4 = "198.51.100.7",
                           kClient6 = "2001:db8:c::7";

class Parse : public testing::Test {
 protected:
  Parse() {
    vip4_ = s_.own(kVip4);
    vip6_ = s_.own(kVip6);
  }
  Meta parsed(const packet::Packet& p) {
    Frames f({p.bytes()});
    parse(f.batch, s_.get());
    EXPECT_EQ(Verdict::kNone, f.batch.verdict[0]);
    EXPECT_EQ(1u, f.batch.live);
    EXPECT_EQ(packet::difference(p.bytes(), f.bytes(0)), "");
    return f.batch.meta[0];
  }
  void expect_drop(const packet::Bytes& frame, Drop why) {
    Frames f({frame});
    parse(f.batch, s_.get());
    EXPECT_EQ(Verdict::kDrop, f.batch.verdict[0]);
    EXPECT_EQ(why, f.batch.reason[0]);
    EXPECT_EQ(0u, f.batch.live);
  }

  SmallSnapshot s_;
  uint32_t vip4_ = 0, vip6_ = 0;
};

void expect_address(std::string_view want, const lb_addr& found) {
  const lb_addr w = raw_address(want);
  EXPECT_EQ(packet::Bytes(w.b, w.b + 16), packet::Bytes(found.b, found.b + 16));
}

TEST_F(Parse, TellsWhatAnIpv4PacketIs) {
  const Meta m =
      parsed(eth().ip4(kClient4, kVip4, {.options = {1, 1, 1, 1}}).tcp(40000, 443).payload("hello").padding(3));
  expect_address(kClient4, m.src);
  expect_address(kVip4, m.dst);
  EXPECT_EQ(lb_htons(40000), m.sport);
  EXPECT_EQ(lb_htons(443), m.dport);
  EXPECT_EQ(LB_PROTO_TCP, m.proto);
  EXPECT_EQ(4, m.family);
  EXPECT_EQ(14, m.l3);
  EXPECT_EQ(38, m.l4);
  EXPECT_EQ(24 + 20 + 5, m.ip_length);
  EXPECT_EQ(vip4_, m.address);
  EXPECT_EQ(LB_NO_SERVICE, m.service);
  EXPECT_EQ(0, m.fragment);
}

TEST_F(Parse, TellsWhatAnIpv6PacketBehindTagsAndExtensionsIs) {
  const Meta m =
      parsed(eth().vlan(1, 0x88a8).vlan(2).ip6(kClient6, kVip6).extension(0, 16).extension(51, 12).udp(5, 6));
  expect_address(kClient6, m.src);
  expect_address(kVip6, m.dst);
  EXPECT_EQ(lb_htons(5), m.sport);
  EXPECT_EQ(lb_htons(6), m.dport);
  EXPECT_EQ(LB_PROTO_UDP, m.proto);
  EXPECT_EQ(6, m.family);
  EXPECT_EQ(22, m.l3);
  EXPECT_EQ(22 + 40 + 28, m.l4);
  EXPECT_EQ(40 + 28 + 8, m.ip_length);
  EXPECT_EQ(vip6_, m.address);
}

TEST_F(Parse, ForgetsThePacketThatWasInTheSlotBefore) {
  Frames f({eth().ip4(kClient4, kVip4, {.proto = 47}).payload_size(8).bytes()});
  f.batch.meta[0].sport = f.batch.meta[0].dport = 0x5555;
  f.batch.meta[0].backend = 7;
  f.batch.meta[0].service = 3;
  f.batch.meta[0].fragment = kLaterFragment;
  parse(f.batch, s_.get());
  EXPECT_EQ(0, f.batch.meta[0].sport);
  EXPECT_EQ(0, f.batch.meta[0].dport);
  EXPECT_EQ(0, f.batch.meta[0].backend);
  EXPECT_EQ(LB_NO_SERVICE, f.batch.meta[0].service);
  EXPECT_EQ(0, f.batch.meta[0].fragment);
}

TEST_F(Parse, JudgesEachPacketOfABatchByItself) {
  std::vector<packet::Bytes> frames;
  for (uint32_t i = 0; i < kBatch; i++) {
    auto p = eth();
    if (i % 4 == 0) p.ip4(kClient4, kVip4).tcp(static_cast<uint16_t>(i), 80);
    if (i % 4 == 1) p.ip4(kClient4, "203.0.113.1").tcp(static_cast<uint16_t>(i), 80);
    if (i % 4 == 2) p.ip6(kClient6, kVip6).udp(static_cast<uint16_t>(i), 80);
    if (i % 4 == 3) p.ip4(kClient4, kVip4, {.csum = 1}).tcp(static_cast<uint16_t>(i), 80);
    frames.push_back(p.bytes());
  }
  Frames f(frames);
  parse(f.batch, s_.get());
  EXPECT_EQ(0x5555555555555555ull, f.batch.live);
  for (Slot i = 0; i < kBatch; i++) {
    const Verdict want = i % 2 == 0 ? Verdict::kNone : i % 4 == 1 ? Verdict::kPunt : Verdict::kDrop;
    EXPECT_EQ(want, f.batch.verdict[i]) << i;
    EXPECT_EQ(i % 2 == 0 ? lb_htons(static_cast<uint16_t>(i)) : 0, f.batch.meta[i].sport) << i;
  }
}

TEST_F(Parse, PuntsWhereTheKernelHasACopyAndDropsWhereItHasNone) {
  const packet::Bytes other = eth().ip4(kClient4, "203.0.113.1").tcp(1, 2).bytes();
  Frames with({other}, true), without({other}, false);
  parse(with.batch, s_.get());
  parse(without.batch, s_.get());
  EXPECT_EQ(Verdict::kPunt, with.batch.verdict[0]);
  EXPECT_EQ(Verdict::kDrop, without.batch.verdict[0]);
  EXPECT_EQ(LB_DROP_NoExceptionPath, without.batch.reason[0]);
}

TEST_F(Parse, PuntsOwnedPacketsOfTheKernelsOnAnExceptionPathOnly) {
  const packet::Bytes discovery = eth().ip6("2001:db8::7", kVip6, {.hop_limit = 255}).icmp6(135).bytes();
  Frames with({discovery}, false), without({discovery}, true);
  with.batch.exception_path = true;
  parse(with.batch, s_.get());
  parse(without.batch, s_.get());
  EXPECT_EQ(Verdict::kPunt, with.batch.verdict[0]);
  EXPECT_EQ(Verdict::kDrop, without.batch.verdict[0]) << "the filter of the port keeps it from the kernel";
  EXPECT_EQ(LB_DROP_NoExceptionPath, without.batch.reason[0]);
}

TEST_F(Parse, FindsAnAddressAtTheEndOfAFullProbeSequenceOnly) {
  SmallSnapshot s;
  const lb_addr a = raw_address(kVip4);
  const uint32_t home = lb_address_hash(&a) & 63;
  for (uint32_t i = 0; i < LB_MAX_PROBE - 1; i++) {
    lb_address_slot& slot = s.get().addresses[(home + i) & 63];
    slot.flags = LB_ADDR_USED;
    slot.addr.b[0] = static_cast<uint8_t>(i + 1);
  }
  EXPECT_EQ((home + LB_MAX_PROBE - 1) & 63, s.own(kVip4));
  Frames f({eth().ip4(kClient4, kVip4).tcp(1, 2).bytes()});
  parse(f.batch, s.get());
  EXPECT_EQ(Verdict::kNone, f.batch.verdict[0]);
  EXPECT_EQ((home + LB_MAX_PROBE - 1) & 63, f.batch.meta[0].address);
}

TEST_F(Parse, ReadsNothingBehindTheFrame) {  // the buffers end there: AddressSanitizer is the judge
  for (const packet::Packet& p :
       {eth().vlan(1).vlan(2).ip4(kClient4, kVip4, {.options = packet::Bytes(40, 1)}).tcp(1, 2),
        eth().ip6(kClient6, kVip6).extension(0, 16).extension(51, 24).fragment6(0, false).udp(1, 2),
        eth().ip6(kClient6, kVip6).extension(60, 8).icmp6(128).payload_size(4)}) {
    const packet::Bytes whole = p.bytes();
    for (size_t n = 0; n < whole.size(); n++) {
      Frames f({packet::Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n))});
      parse(f.batch, s_.get());
      EXPECT_NE(Verdict::kNone, f.batch.verdict[0]) << n << " bytes";
    }
  }
}

TEST_F(Parse, ToldReasonsFollowTheDocumentedOrder) {
  // Each packet has every fault of those behind it too.
  const packet::Ip4 all{.mf = true, .version_ihl = 0x55, .csum = 1};
  expect_drop(eth().ip4("127.0.0.1", kVip4, all).payload_size(8).bytes(), LB_DROP_BadIpHeader);
  expect_drop(eth().ip4("127.0.0.1", kVip4, {.mf = true, .csum = 1}).payload_size(8).bytes(), LB_DROP_BadIpChecksum);
  expect_drop(eth().ip4("127.0.0.1", kVip4, {.mf = true}).payload_size(8).bytes(), LB_DROP_BadSource);
  expect_drop(eth().ip4(kClient4, kVip4, {.mf = true, .proto = 6}).payload_size(8).bytes(), LB_DROP_FragmentTiny);
  expect_drop(eth().ip4(kClient4, kVip4, {.proto = 6}).payload_size(2).bytes(), LB_DROP_BadL4Header);
}

packet::Packet first4(size_t bytes, uint8_t proto = LB_PROTO_UDP) {
  return eth().ip4(kClient4, kVip4, {.mf = true, .proto = proto}).payload_size(bytes);
}
packet::Packet later4(size_t bytes, uint16_t offset, bool more, uint8_t proto = LB_PROTO_UDP) {
  return eth().ip4(kClient4, kVip4, {.mf = more, .offset = offset, .proto = proto}).payload_size(bytes);
}
packet::Packet later6(size_t bytes, uint16_t offset, bool more) {
  return eth().ip6(kClient6, kVip6).fragment6(offset, more).payload_size(bytes);
}

TEST_F(Parse, ReadsThePortsOfAFirstFragmentWhoseLengthsSpeakOfTheWholeDatagram) {
  for (const Meta& m :
       {parsed(eth().ip4(kClient4, kVip4, {.mf = true}).udp(40000, 53, {.length = 8000}).payload_size(64)),
        parsed(eth()
                   .ip6(kClient6, kVip6)
                   .extension(0)
                   .fragment6(0, true)
                   .extension(60)
                   .udp(40000, 53, {.length = 8000})
                   .payload_size(64))}) {
    EXPECT_EQ(kFirstFragment, m.fragment);
    EXPECT_EQ(LB_PROTO_UDP, m.proto);
    EXPECT_EQ(lb_htons(40000), m.sport);
    EXPECT_EQ(lb_htons(53), m.dport);
  }
}

TEST_F(Parse, ReadsNothingBehindTheHeaderOfALaterFragment) {
  for (const Meta& m : {parsed(later4(64, 9, true)), parsed(later4(3, 9, false)), parsed(later6(64, 9, true)),
                        parsed(eth().ip6(kClient6, kVip6).extension(60).fragment6(9, false).payload_size(3))}) {
    EXPECT_EQ(kLaterFragment, m.fragment);
    EXPECT_EQ(0, m.sport | m.dport);
  }
}

TEST_F(Parse, TellsFragmentsThatNoSenderMakes) {
  expect_drop(later4(63, 9, true).bytes(), LB_DROP_BadIpHeader);
  expect_drop(later4(0, 9, false).bytes(), LB_DROP_BadIpHeader);
  expect_drop(later4(8, 8191, true).bytes(), LB_DROP_BadIpHeader);
  expect_drop(first4(63).bytes(), LB_DROP_BadIpHeader);
  EXPECT_EQ(kLaterFragment, parsed(later4(7, 8191, false)).fragment);
  expect_drop(later6(63, 9, true).bytes(), LB_DROP_BadExtension);
  expect_drop(later6(0, 9, false).bytes(), LB_DROP_BadExtension);
  expect_drop(later6(8, 8191, true).bytes(), LB_DROP_BadExtension);
  expect_drop(eth().ip6(kClient6, kVip6).fragment6(0, true).fragment6(1, true).payload_size(8).bytes(),
              LB_DROP_BadExtension);
}

TEST_F(Parse, WantsTheWholeHeaderInTheFirstFragment) {
  const auto tcp = [](size_t cut) {
    return eth()
        .ip4(kClient4, kVip4, {.mf = true, .total_length = static_cast<uint16_t>(cut)})
        .tcp(1, 2, {.options = packet::Bytes(12, 1)})
        .payload_size(8)
        .bytes();
  };
  expect_drop(tcp(20 + 16), LB_DROP_FragmentTiny);
  expect_drop(tcp(20 + 24), LB_DROP_FragmentTiny);
  expect_drop(eth().ip6(kClient6, kVip6).fragment6(0, true).extension(60, 16).cut(14 + 40 + 8 + 8).bytes(),
              LB_DROP_BadIpHeader);
  expect_drop(eth().ip6(kClient6, kVip6, {.payload_length = 16}).fragment6(0, true).extension(60, 16).bytes(),
              LB_DROP_FragmentTiny);
  expect_drop(eth().ip6(kClient6, kVip6, {.payload_length = 16}).fragment6(0, true).tcp(1, 2).bytes(),
              LB_DROP_FragmentTiny);
  expect_drop(later4(64, 1, true, LB_PROTO_TCP).bytes(), LB_DROP_FragmentTiny);
  EXPECT_EQ(kLaterFragment, parsed(later4(64, 2, true, LB_PROTO_TCP)).fragment);
}

TEST_F(Parse, TakesNoIcmpInFragments) {
  expect_drop(first4(64, LB_PROTO_ICMP).bytes(), LB_DROP_IcmpOther);
  expect_drop(later4(64, 9, false, LB_PROTO_ICMP).bytes(), LB_DROP_IcmpOther);
  expect_drop(eth().ip6(kClient6, kVip6).fragment6(0, true).icmp6(135).payload_size(16).bytes(), LB_DROP_IcmpOther);
}

}  // namespace
}  // namespace lb::stages
