#include "dataplane/stages/choose.h"

#include <gtest/gtest.h>

#include <numeric>

#include "dataplane/net/hash.h"
#include "dataplane/stages/hash.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/parse.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::stages {
namespace {

using packet::eth;

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10";

class Choose : public testing::Test {
 protected:
  // A service whose table names backend slot + 1, on port 80 of both addresses.
  void serve(lb_schedule schedule, uint8_t prefix4 = 32, uint8_t prefix6 = 64) {
    std::vector<uint16_t> slots(251);
    std::iota(slots.begin(), slots.end(), static_cast<uint16_t>(1));
    s_.serve(slots, LB_FORWARD_IPIP, schedule, prefix4, prefix6);
    s_.get().backends.resize(252);
    for (const auto& vip : {kVip4, kVip6}) {
      s_.own(vip);
      s_.listen(vip, 80, LB_PROTO_TCP, 0);
    }
  }
  Meta chosen(const packet::Packet& p) {
    Frames f({p.bytes()});
    run_stages(f.batch);
    EXPECT_EQ(Verdict::kNone, f.batch.verdict[0]);
    return f.batch.meta[0];
  }
  Meta from(std::string_view src, uint16_t sport = 40000) {
    auto p = eth();
    if (src.find(':') == std::string_view::npos)
      p.ip4(src, kVip4);
    else
      p.ip6(src, kVip6);
    return chosen(p.tcp(sport, 80));
  }
  // The hash that picked the slot.
  uint64_t picked_by(std::string_view src, uint16_t sport = 40000) {
    auto p = eth();
    if (src.find(':') == std::string_view::npos)
      p.ip4(src, kVip4);
    else
      p.ip6(src, kVip6);
    Frames f({p.tcp(sport, 80).bytes()});
    Trace trace;
    f.batch.trace = &trace;
    run_stages(f.batch);
    EXPECT_EQ(lb_slot(trace.hash, 251) + 1, f.batch.meta[0].backend);
    return trace.hash;
  }
  void run_stages(Batch& b) {
    parse(b, s_.get());
    find_listener(b, s_.get());
    hash_flows(b, s_.get());
    choose(b, s_.get());
  }

  SmallSnapshot s_;
};

// Values from another program, written from the SipHash paper; the same flows are in the conformance cases.
TEST_F(Choose, HashesTheTupleAsPublished) {
  serve(LB_SCHEDULE_MAGLEV);
  s_.own("192.0.2.60");
  s_.listen("192.0.2.60", 80, LB_PROTO_TCP, 0);
  s_.own("2001:db8::60");
  s_.listen("2001:db8::60", 80, LB_PROTO_TCP, 0);
  const Meta v4 = chosen(eth().ip4("198.51.100.7", "192.0.2.60").tcp(40001, 80));
  EXPECT_EQ(0x01accbd43b1e9d61ull, v4.hash);
  EXPECT_EQ(1 + 1, v4.backend);
  const Meta v6 = chosen(eth().ip6("2001:db8:c::7", "2001:db8::60").tcp(40004, 80));
  EXPECT_EQ(0xda9c405ee574050eull, v6.hash);
  EXPECT_EQ(214 + 1, v6.backend);
}

TEST_F(Choose, HashesTheMaskedSourceAlone) {
  serve(LB_SCHEDULE_SOURCE_HASH, 24, 64);
  EXPECT_EQ(0xeadee8883ffb4165ull, picked_by("198.51.100.7"));
  EXPECT_EQ(0xeadee8883ffb4165ull, picked_by("198.51.100.200", 5));
  EXPECT_EQ(0x048f2535ca3f9a30ull, picked_by("198.51.101.7"));
  EXPECT_EQ(0x83d7147b23aacc53ull, picked_by("2001:db8:c::7"));
  EXPECT_EQ(0x83d7147b23aacc53ull, picked_by("2001:db8:c:0:ffff::1", 5));
  EXPECT_EQ(0x671bd137a4754646ull, picked_by("2001:db8:c:1::7"));
}

TEST_F(Choose, KeepsEveryPrefixLength) {
  // Two sources that differ in bit n alone: one hash for prefixes up to n, two from n + 1 on.
  for (const uint8_t prefix : std::initializer_list<uint8_t>{1, 7, 8, 9, 31, 32}) {
    s_ = SmallSnapshot();
    serve(LB_SCHEDULE_SOURCE_HASH, prefix, 64);
    for (unsigned bit = 1; bit < 32; bit++) {  // from bit 1: both stay ordinary sources
      packet::Bytes a = packet::ip4_bytes("85.85.85.85"), b = a;
      b[bit / 8] = static_cast<uint8_t>(b[bit / 8] ^ (0x80u >> bit % 8));
      const auto text = [](const packet::Bytes& v) {
        return std::to_string(v[0]) + "." + std::to_string(v[1]) + "." + std::to_string(v[2]) + "." +
               std::to_string(v[3]);
      };
      EXPECT_EQ(bit >= prefix, picked_by(text(a)) == picked_by(text(b))) << "prefix " << +prefix << " bit " << bit;
    }
  }
  const std::pair<uint8_t, bool> v6[] = {{1, true}, {48, true}, {63, true}, {64, true}, {65, false}, {128, false}};
  for (const auto& [prefix, equal] : v6) {
    s_ = SmallSnapshot();
    serve(LB_SCHEDULE_SOURCE_HASH, 32, prefix);
    EXPECT_EQ(equal, picked_by("2001:db8::1") == picked_by("2001:db8::8000:0:0:1")) << +prefix;
  }
  s_ = SmallSnapshot();
  serve(LB_SCHEDULE_SOURCE_HASH, 32, 127);
  EXPECT_EQ(picked_by("2001:db8::2"), picked_by("2001:db8::3"));
  EXPECT_NE(picked_by("2001:db8::1"), picked_by("2001:db8::2"));
}

TEST_F(Choose, GivesABatchWhatItGivesOnePacket) {
  serve(LB_SCHEDULE_MAGLEV);
  std::vector<packet::Bytes> frames;
  for (uint16_t i = 0; i < kBatch; i++) {
    auto p = eth();
    if (i % 3 == 0)
      p.ip6("2001:db8:c::7", kVip6).tcp(i, 80);
    else
      p.ip4("198.51.100.7", kVip4).tcp(i, i % 7 == 0 ? 81 : 80);  // some are dropped on the way
    frames.push_back(p.bytes());
  }
  for (size_t count = 1; count <= kBatch; count++) {
    Frames f({frames.begin(), frames.begin() + static_cast<ptrdiff_t>(count)});
    run_stages(f.batch);
    for (Slot i : f.batch.slots()) {
      const Meta& m = f.batch.meta[i];
      const lb_hash_key& key = s_.get().hash_key;
      const uint32_t ports = m.sport | static_cast<uint32_t>(m.dport) << 16;
      const uint64_t plain = m.family == 4
                                 ? lb_flow_hash4(&key, lb_load32(m.src.b + 12), lb_load32(m.dst.b + 12), ports, m.proto)
                                 : lb_flow_hash6(&key, m.src.b, m.dst.b, ports, m.proto);
      ASSERT_EQ(plain, m.hash) << "slot " << i << " of " << count;
      ASSERT_EQ(lb_slot(plain, 251) + 1, m.backend);
    }
  }
}

TEST_F(Choose, DropsWhereTheTableIsEmpty) {
  serve(LB_SCHEDULE_MAGLEV);
  const std::vector<uint16_t> nobody(251);
  s_.get().table_slots[0] = nobody.data();
  Frames f({eth().ip4("198.51.100.7", kVip4).tcp(1, 80).bytes()});
  run_stages(f.batch);
  EXPECT_EQ(Verdict::kDrop, f.batch.verdict[0]);
  EXPECT_EQ(LB_DROP_NoBackend, f.batch.reason[0]);
}

TEST_F(Choose, UsesTheTableOfTheListenersFamily) {
  serve(LB_SCHEDULE_MAGLEV);
  const std::vector<uint16_t> other(251, 77);
  s_.get().table_slots.push_back(other.data());
  s_.get().services[0].table6 = 1;
  EXPECT_EQ(77, from("2001:db8:c::7").backend);
  EXPECT_EQ(lb_slot(from("198.51.100.7").hash, 251) + 1, from("198.51.100.7").backend);
}

TEST_F(Choose, TracesTheSlot) {
  serve(LB_SCHEDULE_MAGLEV);
  Trace traces[2];
  Frames f({eth().ip4("198.51.100.7", kVip4).tcp(1, 81).bytes(), eth().ip4("198.51.100.7", kVip4).tcp(1, 80).bytes()});
  f.batch.trace = traces;
  run_stages(f.batch);
  EXPECT_EQ(UINT32_MAX, traces[0].slot);
  EXPECT_EQ(f.batch.meta[1].hash, traces[1].hash);
  EXPECT_EQ(traces[1].slot + 1, f.batch.meta[1].backend);
}

}  // namespace
}  // namespace lb::stages
