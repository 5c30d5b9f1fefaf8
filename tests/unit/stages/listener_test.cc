#include "dataplane/stages/listener.h"

#include <gtest/gtest.h>

#include "dataplane/stages/parse.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::stages {
namespace {

constexpr std::string_view kVip = "192.0.2.10", kClient = "198.51.100.7";

lb_port_range range(uint16_t first, uint16_t last, uint8_t proto, uint32_t service, uint32_t listener) {
  return {.first = first,
          .last = last,
          .proto = proto,
          .any = first == 0 && last == 65535,
          .pad = 0,
          .service = service,
          .listener = listener};
}

class FindListener : public testing::Test {
 protected:
  // Service of a UDP packet to kVip:port, LB_NO_SERVICE when it was dropped.
  uint32_t udp(uint16_t port) { return find(packet::eth().ip4(kClient, kVip).udp(9, port)); }
  uint32_t tcp(uint16_t port) { return find(packet::eth().ip4(kClient, kVip).tcp(9, port)); }
  uint32_t find(const packet::Packet& p) {
    Frames f({p.bytes()});
    f.batch.trace = &trace_;
    trace_ = {};
    parse(f.batch, s_.get());
    find_listener(f.batch, s_.get());
    verdict_ = f.batch.verdict[0];
    reason_ = f.batch.reason[0];
    EXPECT_EQ(verdict_ == Verdict::kNone, f.batch.meta[0].service != LB_NO_SERVICE);
    return f.batch.meta[0].service;
  }

  SmallSnapshot s_;
  Trace trace_;
  Verdict verdict_ = Verdict::kNone;
  uint8_t reason_ = 0;
};

TEST_F(FindListener, PrefersExactThenRangeThenAny) {
  for (int i = 0; i < 4; i++) s_.serve({0});
  s_.own(kVip, LB_ADDR_USED, {range(8000, 8100, 17, 1, 11), range(0, 65535, 17, 2, 12)});
  s_.listen(kVip, 8050, 17, 0, 10);
  EXPECT_EQ(0u, udp(8050));
  EXPECT_EQ(10u, trace_.listener);
  EXPECT_EQ(1u, udp(8000));
  EXPECT_EQ(11u, trace_.listener);
  EXPECT_EQ(1u, udp(8100));
  EXPECT_EQ(2u, udp(7999));
  EXPECT_EQ(12u, trace_.listener);
  EXPECT_EQ(2u, udp(0));
  EXPECT_EQ(2u, udp(65535));
}

TEST_F(FindListener, KeepsProtocolsApart) {
  s_.serve({0});
  s_.serve({0});
  s_.own(kVip, LB_ADDR_USED, {range(0, 65535, 17, 1, 1)});
  s_.listen(kVip, 80, 6, 0);
  EXPECT_EQ(0u, tcp(80));
  EXPECT_EQ(1u, udp(80));
  EXPECT_EQ(LB_NO_SERVICE, tcp(81));
  EXPECT_EQ(LB_DROP_NoListener, reason_);
}

TEST_F(FindListener, LooksAtTheRangesOfThatAddressOnly) {
  s_.serve({0});
  s_.own("192.0.2.9", LB_ADDR_USED, {range(0, 65535, 17, 0, 0)});
  s_.own(kVip);
  s_.own("192.0.2.11", LB_ADDR_USED, {range(0, 65535, 17, 0, 0)});
  EXPECT_EQ(LB_NO_SERVICE, udp(80));
  EXPECT_EQ(Verdict::kDrop, verdict_);
  EXPECT_EQ(LB_DROP_NoListener, reason_);
}

TEST_F(FindListener, LeavesToTheKernelWhatTheKernelWouldAnswer) {
  s_.own(kVip, LB_ADDR_USED | LB_ADDR_KERNEL);
  EXPECT_EQ(LB_NO_SERVICE, tcp(22));
  EXPECT_EQ(LB_DROP_NoExceptionPath, reason_);
}

TEST_F(FindListener, WorksWithoutExactListeners) {
  s_.serve({0});
  s_.own(kVip, LB_ADDR_USED, {range(5, 6, 6, 0, 3)});
  s_.get().listeners.clear();
  EXPECT_EQ(0u, tcp(5));
  EXPECT_EQ(LB_NO_SERVICE, tcp(7));
}

TEST_F(FindListener, FindsEveryOneOfManyListeners) {
  for (uint32_t i = 0; i < 24; i++) s_.serve({0});
  s_.own(kVip);
  for (uint16_t i = 0; i < 24; i++) s_.listen(kVip, static_cast<uint16_t>(1000 + i), 6, i, i);
  for (uint16_t i = 0; i < 24; i++) EXPECT_EQ(i, tcp(static_cast<uint16_t>(1000 + i)));
  EXPECT_EQ(LB_NO_SERVICE, tcp(999));
  EXPECT_EQ(LB_NO_SERVICE, tcp(1024));
}

}  // namespace
}  // namespace lb::stages
