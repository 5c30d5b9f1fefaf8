#include "tests/unit/xdp/decap_run.h"

namespace lb::xdp {
namespace {

using packet::Bytes;
using packet::eth;
using packet::Packet;

constexpr uint8_t kSyn = 0x02, kSynAck = 0x12, kAck = 0x10;
constexpr uint16_t kLimit = 1400;

Bytes mss(uint16_t value) {
  return {2, 4, static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Bytes kSackPermitted = {4, 2}, kWindowScale = {3, 3, 7}, kNop = {1};
const Bytes kTimestamps = {8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

Bytes frame(bool v6, const Bytes& options, uint8_t flags = kSynAck, const char* source = nullptr) {
  Packet p = eth();
  if (v6)
    p.ip6(source ? source : kVip6, kClient6);
  else
    p.ip4(source ? source : kVip4, kClient4);
  return p.tcp(80, 40000, {.flags = flags, .options = options}).bytes();
}

class DecapMss : public DecapRun {
 protected:
  void SetUp() override {
    DecapRun::SetUp();
    if (IsSkipped()) return;
    auto settings = default_settings();
    settings.mss = kLimit;
    load(settings);
  }
};

TEST_F(DecapMss, LowersWhatAVipAnnouncesAndMendsTheChecksum) {
  uint64_t clamped = 0;
  for (const bool v6 : {false, true}) {
    for (const uint16_t announced : std::initializer_list<uint16_t>{1401, 1440, 1460, 8960, 65535}) {
      const Ran ran = run_egress(frame(v6, mss(announced) + kSackPermitted + kTimestamps + kNop + kWindowScale));
      EXPECT_EQ(ran.verdict, kContinue);
      EXPECT_EQ(
          packet::difference(frame(v6, mss(kLimit) + kSackPermitted + kTimestamps + kNop + kWindowScale), ran.bytes),
          "");
      clamped++;
    }
  }
  EXPECT_EQ(counters(), (Counters{{"mss_clamped", clamped}}));
}

TEST_F(DecapMss, FindsTheOptionAtEveryPlace) {
  Bytes before;
  for (size_t n = 0; n <= 36; n++) {
    const Ran ran = run_egress(frame(false, before + mss(1460)));
    EXPECT_EQ(packet::difference(frame(false, before + mss(kLimit)), ran.bytes), "") << n << " NOPs before it";
    before = before + kNop;
  }
  const Ran ran = run_egress(frame(true, kWindowScale + kSackPermitted + kTimestamps + mss(1460)));
  EXPECT_EQ(packet::difference(frame(true, kWindowScale + kSackPermitted + kTimestamps + mss(kLimit)), ran.bytes), "");
}

TEST_F(DecapMss, LeavesEverythingElseAlone) {
  const Bytes frames[] = {
      frame(false, mss(1400)),
      frame(false, mss(536)),
      frame(false, {}),
      frame(false, kSackPermitted + kTimestamps),
      frame(false, mss(1460), kSyn),  // of a connection that the server opens
      frame(false, mss(1460), kAck),
      frame(false, mss(1460), kSynAck, kSelf4),
      frame(true, mss(1440), kSynAck, kSelf6),
      frame(false, Bytes{0, 0, 0, 0} + mss(1460)),   // behind the end of options
      frame(false, Bytes{2, 3, 5, 0}),               // a wrong length
      frame(false, Bytes{5, 0, 0, 0} + mss(1460)),   // an option of length 0
      frame(false, Bytes{5, 40, 0, 0} + mss(1460)),  // an option that goes past the header
      frame(false, Bytes{1, 1, 1, 2}),               // cut short
      eth().ip4(kVip4, kClient4).udp(80, 1).payload_size(60).bytes(),
      eth()
          .ip4(kVip4, kClient4, {.df = false, .offset = 5})
          .tcp(80, 1, {.flags = kSynAck, .options = mss(1460)})
          .bytes(),
  };
  for (const Bytes& f : frames) {
    const Ran ran = run_egress(f);
    EXPECT_EQ(ran.verdict, kContinue);
    EXPECT_EQ(packet::difference(f, ran.bytes), "");
  }
  EXPECT_EQ(counters(), Counters());
}

TEST_F(DecapMss, DoesNothingWithoutALimit) {
  load(default_settings());
  const Bytes f = frame(false, mss(1460));
  EXPECT_EQ(packet::difference(f, run_egress(f).bytes), "");
  EXPECT_EQ(counters(), Counters());
}

}  // namespace
}  // namespace lb::xdp
