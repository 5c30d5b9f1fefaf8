#include "dataplane/stages/quote.h"

#include <gtest/gtest.h>

#include <array>

#include "dataplane/stages/count.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/worker_state.h"
#include "tests/property/table_memory.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::stages {
namespace {

using packet::eth;
using packet::ip4;
using packet::ip6;
using packet::Packet;
using Types = std::initializer_list<uint8_t>;

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10", kClient4 = "198.51.100.7",
                           kClient6 = "2001:db8:c::7", kRouter4 = "203.0.113.1", kRouter6 = "2001:db8:9::1";

// The first `bytes` bytes of a packet, as a router quotes them.
std::string head(const Packet& p, size_t bytes) {
  const packet::Bytes whole = p.bytes();
  return {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(std::min(bytes, whole.size()))};
}
Packet error4(const std::string& quote, uint8_t type = 3) {
  return eth().ip4(kRouter4, kVip4).icmp(type, 4, 1400).payload(quote);
}
Packet error6(const std::string& quote, uint8_t type = 2) {
  return eth().ip6(kRouter6, kVip6).icmp6(type, 0, 1400).payload(quote);
}
Packet error4(const Packet& quoted) {
  return error4(head(quoted, 1000));
}
Packet error6(const Packet& quoted) {
  return error6(head(quoted, 1000));
}

class Quote : public testing::Test {
 protected:
  Quote() {
    s_.own(kVip4);
    s_.own(kVip6);
  }
  // Of a quote that has the flow client:40000 -> listener's address:80.
  void expect_flow(const Packet& p, uint8_t proto, std::string_view what) {
    const packet::Bytes frame = p.bytes();
    const bool v4 = frame[12] == 8 || frame[12] == 0x81;
    const size_t l3 = frame[12] == 0x81 ? 18 : 14;
    Frames f({frame});
    parse(f.batch, s_.get());
    ASSERT_EQ(Verdict::kNone, f.batch.verdict[0]) << what;
    EXPECT_EQ(1u, f.batch.quoting) << what;
    const Meta& m = f.batch.meta[0];
    const lb_addr client = raw_address(v4 ? kClient4 : kClient6), own = raw_address(v4 ? kVip4 : kVip6);
    EXPECT_EQ(0, std::memcmp(&client, &m.src, 16)) << what;
    EXPECT_EQ(0, std::memcmp(&own, &m.dst, 16)) << what;
    EXPECT_EQ(lb_htons(40000), m.sport) << what;
    EXPECT_EQ(lb_htons(80), m.dport) << what;
    EXPECT_EQ(proto, m.proto) << what;
    EXPECT_EQ(0, m.tcp) << what;
    EXPECT_EQ(frame.size() - l3, m.ip_length) << what << ": the whole error travels";
  }
  void expect_unmatched(const Packet& p, std::string_view what, Drop why = LB_DROP_IcmpUnmatched) {
    Frames f({p.bytes()});
    parse(f.batch, s_.get());
    EXPECT_EQ(Verdict::kDrop, f.batch.verdict[0]) << what;
    EXPECT_EQ(why, f.batch.reason[0]) << what;
    EXPECT_EQ(0u, f.batch.quoting | f.batch.refused) << what << ": never answered";
  }

  SmallSnapshot s_;
};

TEST_F(Quote, IsReadAsAPacketOfTheClient) {
  const Packet tcp = ip4(kVip4, kClient4).tcp(80, 40000).payload_size(1200);
  for (const uint8_t type : Types{3, 11, 12}) expect_flow(error4(head(tcp, 28), type), LB_PROTO_TCP, "8 bytes of TCP");
  expect_flow(error4(ip4(kVip4, kClient4).udp(80, 40000).payload_size(9)), LB_PROTO_UDP, "UDP");
  const Packet tcp6 = ip6(kVip6, kClient6).tcp(80, 40000).payload_size(1200);
  for (const uint8_t type : Types{1, 2, 3, 4})
    expect_flow(error6(head(tcp6, 48), type), LB_PROTO_TCP, "8 bytes of TCP");
  expect_flow(error6(ip6(kVip6, kClient6).udp(80, 40000).payload_size(9)), LB_PROTO_UDP, "UDP");
}

TEST_F(Quote, IsReadOverOptionsAndExtensionHeaders) {
  const Packet options = ip4(kVip4, kClient4, {.options = packet::Bytes(40, 1)}).tcp(80, 40000);
  expect_flow(error4(head(options, 68)), LB_PROTO_TCP, "40 bytes of options");
  expect_unmatched(error4(head(options, 67)), "7 bytes behind options");
  expect_flow(error6(ip6(kVip6, kClient6).extension(0, 16).extension(60).extension(51, 12).udp(80, 40000)),
              LB_PROTO_UDP, "extension headers");
  Packet eight = ip6(kVip6, kClient6), nine = eight;
  for (int i = 0; i < 8; i++) eight.extension(60);
  for (int i = 0; i < 9; i++) nine.extension(60);
  expect_flow(error6(eight.tcp(80, 40000)), LB_PROTO_TCP, "8 headers");
  expect_unmatched(error6(nine.tcp(80, 40000)), "9 headers");
  expect_flow(error6(ip6(kVip6, kClient6).extension(60, 256).tcp(80, 40000)), LB_PROTO_TCP, "256 bytes");
  expect_unmatched(error6(ip6(kVip6, kClient6).extension(60, 256).extension(60).tcp(80, 40000)), "264 bytes");
}

TEST_F(Quote, OfAFragmentHasPortsInTheFirstOneOnly) {
  expect_flow(error4(ip4(kVip4, kClient4, {.df = false, .mf = true}).udp(80, 40000).payload_size(40)), LB_PROTO_UDP,
              "a first one");
  expect_unmatched(error4(ip4(kVip4, kClient4, {.df = false, .offset = 1, .proto = 17}).payload_size(40)),
                   "a later one");
  expect_flow(error6(ip6(kVip6, kClient6).fragment6(0, true).extension(60).udp(80, 40000)), LB_PROTO_UDP,
              "a first one, and more behind its header");
  expect_unmatched(error6(ip6(kVip6, kClient6).fragment6(1, false).udp(80, 40000)), "a later one");
}

TEST_F(Quote, IsNotJudgedByWhatRoutersChange) {
  expect_flow(error4(ip4(kVip4, kClient4, {.ttl = 0, .csum = 0x1234}).tcp(80, 40000)), LB_PROTO_TCP, "TTL, checksum");
  expect_flow(error4(ip4(kVip4, kClient4, {.total_length = 0xffff}).tcp(80, 40000)), LB_PROTO_TCP, "a longer packet");
  expect_flow(error4(head(ip4(kVip4, kClient4).tcp(80, 40000), 40) + std::string(88, '\0')), LB_PROTO_TCP,
              "zeros behind it, RFC 4884");
  expect_flow(eth().vlan(5).ip4(kRouter4, kVip4).icmp(3, 4).then(ip4(kVip4, kClient4).tcp(80, 40000)), LB_PROTO_TCP,
              "a tag");
}

TEST_F(Quote, OfAnythingElseIsUnmatched) {
  expect_unmatched(error4(ip4(kClient4, kVip4).tcp(40000, 80)), "what a client sent");
  expect_unmatched(error4(ip4("192.0.2.11", kClient4).tcp(80, 40000)), "another address");
  expect_unmatched(error4(ip4(kVip4, kClient4).icmp(0).payload_size(56)), "an echo reply");
  expect_unmatched(error4(ip4(kVip4, kClient4, {.proto = 132}).payload_size(40)), "SCTP");
  expect_unmatched(error4(ip4(kVip4, kClient4, {.version_ihl = 0x44}).tcp(80, 40000)), "a header of 16 bytes");
  expect_unmatched(error4(ip4(kVip4, kClient4, {.version_ihl = 0x65}).tcp(80, 40000)), "version 6 in IPv4");
  expect_unmatched(error6(ip6(kVip6, kClient6, {.version = 4}).tcp(80, 40000)), "version 4 in IPv6");
  expect_unmatched(error6(ip6(kVip6, kClient6).icmp6(129).payload_size(56)), "an echo reply");
  expect_unmatched(error6(ip6("2001:db8::11", kClient6).tcp(80, 40000)), "another address");
  const Packet tcp4 = ip4(kVip4, kClient4).tcp(80, 40000), tcp6 = ip6(kVip6, kClient6).extension(60).tcp(80, 40000);
  for (size_t n = 0; n < 28; n++) expect_unmatched(error4(head(tcp4, n)), std::to_string(n) + " bytes");
  for (size_t n = 0; n < 56; n++) expect_unmatched(error6(head(tcp6, n)), std::to_string(n) + " bytes");
  expect_flow(error6(head(tcp6, 56)), LB_PROTO_TCP, "56 bytes");
}

TEST_F(Quote, OfAnErrorInPiecesIsNobodys) {
  const std::string quote = head(ip4(kVip4, kClient4).tcp(80, 40000), 32);
  const auto piece = [&](bool mf, uint16_t offset) {
    return eth().ip4(kRouter4, kVip4, {.df = false, .mf = mf, .offset = offset}).icmp(3, 4).payload(quote);
  };
  expect_unmatched(piece(true, 0), "the first", LB_DROP_IcmpOther);
  expect_unmatched(piece(false, 4), "the last", LB_DROP_IcmpOther);
  expect_unmatched(eth().ip6(kRouter6, kVip6).fragment6(0, true).icmp6(2).payload(quote), "v6", LB_DROP_IcmpOther);
  expect_unmatched(eth().ip4("127.0.0.1", kVip4).icmp(3, 4).payload(quote), "its source", LB_DROP_BadSource);
}

// Two backends; the table says 1, entries say 2.
class QuotedFlow : public testing::Test {
 protected:
  QuotedFlow() {
    s_.add_backend("10.0.0.11", "10.0.0.1");
    s_.add_backend("10.0.0.12", "10.0.0.1");
    s_.own(kVip4);
    s_.serve({1, 1, 1});
    s_.listen(kVip4, 80, LB_PROTO_TCP, 0);
    s_.listen(kVip4, 80, LB_PROTO_UDP, 0);
  }
  std::vector<uint16_t> run_all(std::vector<packet::Bytes> frames) {
    Frames f(frames);
    const auto n = static_cast<uint32_t>(frames.size());
    tracker_.tick(now_ms_, nullptr);
    stages::run(f.batch, s_.get(), &tracker_);
    count(f.batch, n, 0, worker_);
    std::vector<uint16_t> to;
    for (Slot i = 0; i < n; i++) {
      EXPECT_EQ(Verdict::kForward, f.batch.verdict[i]) << i;
      EXPECT_EQ(frames[i].size() + 20, f.batch.length[i]);
      const packet::Bytes out = f.bytes(i);
      to.push_back(static_cast<uint16_t>(out.at(33) - 10));  // the last byte of the outer destination
    }
    return to;
  }
  void table_says(uint16_t backend) {
    table_ = {backend, backend, backend};
    s_.get().table_slots[0] = table_.data();
  }
  uint64_t counter(lb_counter c) const { return peek(worker_.counters[c]); }
  bool same_tables(const property::TableMemory& a, const property::TableMemory& b) const {
    return std::memcmp(a.lines.data(), b.lines.data(), a.lines.size() * sizeof a.lines[0]) == 0 &&
           std::memcmp(a.cold.data(), b.cold.data(), a.cold.size() * sizeof a.cold[0]) == 0;
  }

  SmallSnapshot s_;
  std::array<uint16_t, 3> table_{};
  uint64_t now_ms_ = 1'000'000;
  WorkerState worker_;
  property::TableMemory own_{16}, other_{16};
  std::vector<FlowTable> others_{other_.view()};
  FlowTracker tracker_{own_.view(), others_, worker_.counters};
};

const packet::Bytes kSyn = eth().ip4(kClient4, kVip4).tcp(40000, 80).bytes();
const packet::Bytes kError = error4(head(ip4(kVip4, kClient4).tcp(80, 40000), 28)).bytes();

TEST_F(QuotedFlow, IsFoundAndChangesNothing) {
  table_says(2);
  EXPECT_EQ(std::vector<uint16_t>{2}, run_all({kSyn}));
  table_says(1);
  const property::TableMemory before = own_;
  EXPECT_EQ((std::vector<uint16_t>{2, 2}), run_all({kError, kError}));
  EXPECT_TRUE(same_tables(before, own_));
  EXPECT_EQ(2u, counter(LB_COUNT_ErrorsForwarded));
  EXPECT_EQ(1u, counter(LB_COUNT_FlowsInserted));
}

TEST_F(QuotedFlow, IsFoundInTheTableOfAnotherWorkerAndNotCopied) {
  table_says(2);
  EXPECT_EQ(std::vector<uint16_t>{2}, run_all({kSyn}));
  std::swap(own_.lines, other_.lines);  // the memory, of which the views know
  std::swap(own_.cold, other_.cold);
  others_[0] = other_.view();
  tracker_ = FlowTracker(own_.view(), others_, worker_.counters);
  table_says(1);
  EXPECT_EQ(std::vector<uint16_t>{1}, run_all({kError})) << "at its start a worker may not look yet";
  EXPECT_EQ(1u, counter(LB_COUNT_ForeignSkipped));
  now_ms_++;
  const property::TableMemory before = other_;
  EXPECT_EQ(std::vector<uint16_t>{2}, run_all({kError}));
  EXPECT_TRUE(same_tables(property::TableMemory(16), own_) && same_tables(before, other_));
  EXPECT_EQ(0u, counter(LB_COUNT_ForeignFound));
}

TEST_F(QuotedFlow, OfNobodyIsChosenByItsHashAndNotKept) {
  EXPECT_EQ(std::vector<uint16_t>{1}, run_all({kError}));
  EXPECT_TRUE(same_tables(property::TableMemory(16), own_));
  EXPECT_EQ(0u, counter(LB_COUNT_FlowsInserted) + counter(LB_COUNT_FlowsUntracked));
  EXPECT_EQ(1u, counter(LB_COUNT_ErrorsForwarded));
}

TEST_F(QuotedFlow, HasNoPartInWhatTheFlowsOfItsBatchDo) {
  table_says(2);
  EXPECT_EQ((std::vector<uint16_t>{2, 2, 2}), run_all({kError, kSyn, kError}));
  table_says(1);
  EXPECT_EQ((std::vector<uint16_t>{2, 2, 2}), run_all({kError, kSyn, kError}));
  EXPECT_EQ(1u, counter(LB_COUNT_FlowsInserted));
  EXPECT_EQ(4u, counter(LB_COUNT_ErrorsForwarded));
}

}  // namespace
}  // namespace lb::stages
