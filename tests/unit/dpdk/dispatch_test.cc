// Which worker gets a packet, and by which way it gets there, where the device does not see to it.
#include "dataplane/dpdk/dispatch.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/dpdk/dispatch_rings.h"
#include "tests/unit/dpdk/engine_world.h"

namespace lb::dpdk {
namespace {

using packet::Bytes;
using packet::eth;
using testing::EngineWorld;
using testing::eventually;
using testing::must;
using testing::test_eal;
using testing::verdicts;

constexpr SpreadKey kKey = {0x0123456789abcdef, 0xfedcba9876543210, 0x5555aaaa3333cccc, 0x9e3779b97f4a7c15};
const std::array<uint8_t, 6> kMac = must(net::Mac::parse(packet::kPortMac)).bytes;

uint32_t owner(const Bytes& frame, uint32_t workers) {
  const Bytes exact(frame);  // what is read behind its end shows under ASan
  return worker_of(exact.data(), static_cast<uint32_t>(exact.size()), kMac, kKey, workers);
}

Bytes flow4(uint16_t port) {
  return eth().ip4("198.51.100.7", "192.0.2.10").tcp(port, 80).bytes();
}
Bytes flow6(uint16_t port) {
  return eth().ip6("2001:db8:f::7", "2001:db8::10").udp(port, 53).payload("query").bytes();
}
Bytes flow_of(uint16_t port) {
  switch (port % 3) {
    case 0:
      return flow4(port);
    case 1:
      return flow6(port);
    default:
      return eth().vlan(7).vlan(8).ip4("198.51.100.7", "192.0.2.10").tcp(port, 80).bytes();
  }
}

TEST(WorkerOf, SpreadsFlowsEvenly) {
  for (const auto flow : {flow4, flow6}) {
    std::array<uint32_t, 3> count{};
    for (uint32_t port = 0; port < 30'000; port++) count.at(owner(flow(static_cast<uint16_t>(port)), 3))++;
    for (const uint32_t n : count) EXPECT_NEAR(n, 10'000, 500);  // six standard deviations of an even spread
  }
}

TEST(WorkerOf, DependsOnTheKey) {
  SpreadKey other = kKey;
  for (uint64_t& word : other) word = ~word * 3;
  uint32_t differ = 0;
  for (uint16_t port = 0; port < 1000; port++) {
    const Bytes f = flow4(port);
    differ += owner(f, 2) != worker_of(f.data(), static_cast<uint32_t>(f.size()), kMac, other, 2);
  }
  EXPECT_NEAR(differ, 500, 100);
}

TEST(WorkerOf, IsNotMovedByTagsFlagsAndPayload) {
  for (uint16_t port = 0; port < 100; port++) {
    const uint32_t w = owner(flow4(port), 64);
    const auto ip = packet::Ip4{.tos = 7, .ttl = 3, .id = 9, .options = Bytes(8, 1)};
    EXPECT_EQ(owner(eth().vlan(7).ip4("198.51.100.7", "192.0.2.10").tcp(port, 80).bytes(), 64), w);
    EXPECT_EQ(owner(eth().vlan(7, 0x88a8).vlan(1).ip4("198.51.100.7", "192.0.2.10").tcp(port, 80).bytes(), 64), w);
    EXPECT_EQ(
        owner(eth().ip4("198.51.100.7", "192.0.2.10", ip).tcp(port, 80, {.flags = 0x11}).payload("x").bytes(), 64), w);
  }
}

TEST(WorkerOf, KeepsTheFragmentsOfADatagramTogether) {
  std::set<uint32_t> workers, workers6;
  for (uint16_t k = 0; k < 50; k++) {
    const auto first = packet::Ip4{.id = k, .df = false, .mf = true};
    const auto second = packet::Ip4{.id = k, .df = false, .mf = false, .offset = 10};
    workers.insert(owner(eth().ip4("198.51.100.7", "192.0.2.10", first).udp(k, 53).payload_size(72).bytes(), 64));
    workers.insert(owner(eth().ip4("198.51.100.7", "192.0.2.10", second).payload_size(80).bytes(), 64));
    workers6.insert(owner(
        eth().ip6("2001:db8:f::7", "2001:db8::10").fragment6(0, true, k).udp(k, 53).payload_size(64).bytes(), 64));
    workers6.insert(
        owner(eth().ip6("2001:db8:f::7", "2001:db8::10").fragment6(9, false, k).payload_size(k).bytes(), 64));
  }
  EXPECT_EQ(workers.size(), 1u);
  EXPECT_EQ(workers6.size(), 1u);
}

TEST(WorkerOf, LeavesWhatIsNoIpPacketToThePortWhereItIs) {
  EXPECT_EQ(owner(eth("02:00:00:00:00:99").ip4("198.51.100.7", "192.0.2.10").tcp(1, 80).bytes(), 4), kNoWorker);
  EXPECT_EQ(owner(Bytes(60, 0xff), 4), kNoWorker);
  EXPECT_EQ(owner({}, 4), kNoWorker);
  EXPECT_EQ(owner(eth().vlan(1).vlan(2).vlan(3).ip4("198.51.100.7", "192.0.2.10").tcp(1, 80).bytes(), 4), kNoWorker);
}

TEST(WorkerOf, ReadsNothingBehindTheFrame) {
  for (const Bytes& whole : {flow_of(3), flow_of(4), flow_of(5)})
    for (size_t n = 0; n <= whole.size(); n++) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));
      cut.shrink_to_fit();
      const uint32_t w = owner(cut, 4);
      EXPECT_TRUE(w < 4 || w == kNoWorker);
    }
}

// A port with one queue and its rings, polled by the test as a worker would.
class Rings : public ::testing::Test {
 protected:
  Rings()
      : eal_(test_eal()),
        buffers_(must(Buffers::create("rings" + std::to_string(number_++), 4095, kBufferRoom))),
        device_name_("rings" + std::to_string(number_)),
        port_(device_name_, 1, must(net::Mac::parse(packet::kPortMac))),
        device_(must(
            Device::open({.name = port_.device(), .arguments = {}, .workers = 1, .pool = buffers_.pool()}, eal_))) {}

  void make(uint32_t workers) {
    const RxQueue rx = {.device = device_->id(), .mac = device_->mac().bytes, .kernel_copy = true};
    dispatch_ = must(DispatchRings::make({rx}, {{device_->id(), 0, 2000, nullptr}}, workers, true, kKey));
  }
  uint32_t receive_by(uint32_t worker, Arrival& arrival) {
    const uint32_t n = receive(dispatch_->rx_of(worker).at(0), burst_, *batch_, arrival);
    if (n > 0) rte_pktmbuf_free_bulk(burst_.data(), n);
    return n;
  }

  static inline int number_ = 0;
  Eal& eal_;
  Buffers buffers_;
  std::string device_name_;
  testing::RingPort port_;
  std::unique_ptr<Device> device_;
  std::optional<DispatchRings> dispatch_;
  std::unique_ptr<stages::Batch> batch_ = std::make_unique<stages::Batch>();
  Burst burst_{};
};

TEST_F(Rings, AFullRingLosesPacketsByNameAndGivesTheirBuffersBack) {
  make(2);
  const uint32_t before = buffers_.in_use();
  uint64_t sent = 0, bytes = 0;
  Arrival sum;
  uint64_t kept = 0;
  for (int round = 0; round < 100; round++) {  // nobody takes what is handed to worker 1: 1,023 fit
    for (int i = 0; i < 40; i++) {
      const Bytes f = flow_of(static_cast<uint16_t>(sent));
      sent += port_.inject(buffers_, f);
      bytes += f.size();
    }
    Arrival a;
    kept += receive_by(0, a);
    sum.packets += a.packets;
    sum.bytes += a.bytes;
    sum.handed_out += a.handed_out;
    sum.handoff_full += a.handoff_full;
  }
  EXPECT_EQ(sent, 4000u);
  EXPECT_EQ(sum.packets, sent);
  EXPECT_EQ(sum.bytes, bytes);
  EXPECT_EQ(sum.handed_out, 1023u);
  EXPECT_GT(sum.handoff_full, 500u);
  EXPECT_EQ(kept + sum.handed_out + sum.handoff_full, sent);
  EXPECT_EQ(buffers_.in_use(), before + 1023);
  dispatch_.reset();
  EXPECT_EQ(buffers_.in_use(), before) << "what lies in a ring is freed with it";
}

TEST_F(Rings, AHandedOverPacketKeepsTheFactsOfItsPort) {
  make(2);
  for (uint16_t k = 0; k < 64; k++) ASSERT_TRUE(port_.inject(buffers_, flow4(k)));
  Arrival out, in;
  receive_by(0, out);
  ASSERT_GT(out.handed_out, 0u);
  *batch_ = {};
  EXPECT_EQ(receive_by(1, in), out.handed_out);
  EXPECT_EQ(batch_->port_mac, device_->mac().bytes);
  EXPECT_TRUE(batch_->kernel_copy);
}

TEST_F(Rings, WhatAQueueDoesNotTakeStaysInTheRingOfItsWorker) {
  make(2);
  const TxQueue to = dispatch_->tx_of(1);
  ASSERT_NE(to.ring, nullptr);
  ASSERT_EQ(dispatch_->relays_of(0).size(), 1u);
  const uint32_t before = buffers_.in_use();
  uint32_t given = 0, relayed = 0;
  for (bool full = false; !full;) {  // the wire holds 1,023, the ring between the workers as many
    rte_mbuf* m = rte_pktmbuf_alloc(buffers_.pool());
    ASSERT_NE(rte_pktmbuf_append(m, 60), nullptr);
    full = rte_ring_enqueue(to.ring, m) != 0;
    if (full) rte_pktmbuf_free(m);
    given += full ? 0 : 1;
    relayed += relay(dispatch_->relays_of(0)[0]);
  }
  EXPECT_EQ(given, 2046u);
  EXPECT_EQ(relayed, 1023u);
  uint32_t taken = 0;
  for (uint32_t moved = 1; moved > 0;) {
    while (port_.take()) taken++;
    moved = relay(dispatch_->relays_of(0)[0]);
  }
  EXPECT_EQ(taken, given);
  EXPECT_EQ(buffers_.in_use(), before);
}

TEST_F(Rings, OnlyWorkersWithoutAQueueHaveARing) {
  const std::vector<RxQueue> rx(4);
  std::vector<TxQueue> tx(4);
  const auto own = must(DispatchRings::make(rx, tx, 3, false, kKey));
  EXPECT_EQ(own.rx_of(0).size(), 2u);  // queues 0 and 3
  EXPECT_EQ(own.rx_of(2).size(), 1u);
  for (uint32_t w = 0; w < 3; w++) {
    EXPECT_EQ(own.tx_of(w).ring, nullptr);
    EXPECT_TRUE(own.relays_of(w).empty());
    for (const RxQueue& q : own.rx_of(w)) EXPECT_TRUE(q.ring == nullptr && q.handoff == nullptr);
  }
  tx.resize(2);
  const auto shared = must(DispatchRings::make({rx.begin(), rx.begin() + 2}, tx, 5, true, kKey));
  for (uint32_t w = 0; w < 5; w++) {
    EXPECT_EQ(shared.rx_of(w).size(), 2u);
    EXPECT_EQ(shared.tx_of(w).ring == nullptr, w < 2);
    EXPECT_EQ(shared.relays_of(w).size(), w == 0 ? 2u : (w == 1 ? 1u : 0u));
  }
}

// Packets of an engine whose ports have other numbers of queues than there are workers.
class Dispatch : public EngineWorld {
 protected:
  // Version and source port of what was sent, whose inner packet is behind Ethernet and an outer IPv4 header.
  static uint32_t flow_in(const Bytes& frame) {
    const size_t inner = sizeof(lb_eth) + sizeof(lb_ipv4);
    const size_t l4 = inner + (frame.at(inner) >> 4 == 4 ? sizeof(lb_ipv4) : sizeof(lb_ipv6));
    return static_cast<uint32_t>(frame.at(l4) << 8 | frame.at(l4 + 1));
  }
  // Which transmit queues, that is: workers, each flow's packets left by.
  void note_where_flows_left() {
    for (uint16_t q = 0; q < lan_->tx_queues(); q++)
      while (const auto frame = lan_->take(q)) left_by_[flow_in(*frame)].insert(q);
  }
  bool balanced() {
    for (const model::WorkerCounters& w : engine_->workers()) {
      const auto& c = w.counters;
      if (c[LB_COUNT_RxPackets] + c[LB_COUNT_HandedIn] != verdicts(c) + c[LB_COUNT_HandedOut]) return false;
    }
    return true;
  }
  // Rounds of one packet of each flow, by the receive queues in turn.
  void send_flows(uint16_t flows, int rounds, uint16_t queues = 1) {
    for (int round = 0; round < rounds; round++) {
      for (uint16_t f = 0; f < flows; f++)
        sent_ += wan_->inject(buffers_, flow_of(f), static_cast<uint16_t>((f + round) % queues));
      ASSERT_TRUE(received(sent_));
      note_where_flows_left();
    }
  }
  void expect_all_workers_busy(uint32_t queues) {
    for (const model::WorkerCounters& w : engine_->workers()) {
      EXPECT_GT(w.counters[LB_COUNT_Forwarded], 0u) << net::raw(w.worker);
      EXPECT_EQ(w.counters[LB_COUNT_RxPackets] > 0, net::raw(w.worker) < queues);
    }
    EXPECT_TRUE(eventually([this] { return balanced(); }));
    const auto c = total();
    EXPECT_EQ(c[LB_COUNT_HandedOut], c[LB_COUNT_HandedIn]);
    EXPECT_GT(c[LB_COUNT_HandedIn], 0u);
    EXPECT_EQ(c[LB_COUNT_Forwarded], sent_);
  }

  uint64_t sent_ = 0;
  std::map<uint32_t, std::set<uint16_t>> left_by_;
};

class OneQueue : public Dispatch, public ::testing::WithParamInterface<uint16_t> {};

TEST_P(OneQueue, EachFlowStaysWithItsWorkerAndAllWorkersWork) {
  start(GetParam(), 1, GetParam());
  EXPECT_NE(log_.find("port wan: flows are dispatched in software: 1 receive queue(s) for"), std::string::npos) << log_;
  publish();
  const uint32_t before = buffers_.in_use();
  send_flows(500, 6);
  ASSERT_EQ(left_by_.size(), 500u);
  for (const auto& [flow, queues] : left_by_) EXPECT_EQ(queues.size(), 1u) << flow;
  expect_all_workers_busy(1);
  EXPECT_EQ(buffers_.in_use(), before);
}

TEST_P(OneQueue, WorkersShareATransmitQueueAndEachFlowKeepsItsOrder) {
  start(GetParam(), 1, 1);
  publish();
  const uint32_t before = buffers_.in_use();
  std::map<uint32_t, uint32_t> last;
  uint64_t taken = 0;
  for (uint32_t round = 1; round <= 50; round++) {
    for (uint16_t f = 0; f < 64; f++)
      sent_ += wan_->inject(buffers_,
                            eth().ip4("198.51.100.7", "192.0.2.10").tcp(f, 80, {.flags = 0x10, .seq = round}).bytes());
    while (taken < sent_) {
      std::optional<Bytes> frame;
      ASSERT_TRUE(eventually([&] { return (frame = lan_->take()).has_value(); }));
      taken++;
      const size_t seq = 14 + 20 + 20 + 4;  // low byte of the number
      EXPECT_EQ(frame->at(seq + 3), ++last[flow_in(*frame)] % 256);
    }
  }
  expect_all_workers_busy(1);
  EXPECT_EQ(buffers_.in_use(), before);
}

TEST_P(OneQueue, AFullSharedTransmitQueueIsCountedAndNothingElseIsLost) {
  start(GetParam(), 1, 1);
  publish();
  const uint32_t before = buffers_.in_use();
  while (total()[LB_COUNT_TxFull] == 0 && sent_ < 20'000) {  // nobody takes from the wire
    for (uint16_t f = 0; f < 64; f++) {
      ASSERT_TRUE(wan_->inject(buffers_, flow4(f)));
      sent_++;
    }
    ASSERT_TRUE(received(sent_));
  }
  const auto c = total();
  EXPECT_GT(c[LB_COUNT_TxFull], 0u);
  EXPECT_EQ(c[LB_COUNT_Forwarded] + c[LB_COUNT_TxFull], sent_);
  uint64_t left = 0;
  EXPECT_TRUE(eventually([&] {
    left += drain();
    return left == c[LB_COUNT_Forwarded];
  })) << left;
  EXPECT_EQ(buffers_.in_use(), before);
}

INSTANTIATE_TEST_SUITE_P(Workers, OneQueue, ::testing::Values(uint16_t{2}, uint16_t{4}));

TEST_F(Dispatch, AFlowThatComesByBothQueuesStaysWithItsWorker) {
  start(2);
  EXPECT_NE(log_.find("net_ring keeps no flow on one queue: it has no RSS"), std::string::npos) << log_;
  publish();
  send_flows(300, 4, 2);
  ASSERT_EQ(left_by_.size(), 300u);
  for (const auto& [flow, queues] : left_by_) EXPECT_EQ(queues.size(), 1u) << flow;
  expect_all_workers_busy(2);
}

TEST_F(Dispatch, ExplainNamesTheWorkerThatThenGetsThePacket) {
  start(4, 1, 4);
  publish();
  for (uint16_t port = 1; port <= 50; port++) {
    const model::ExplainRequest request{.proto = net::IpProto::kTcp,
                                        .source = {must(net::Address::parse("198.51.100.7")), port},
                                        .destination = {must(net::Address::parse("192.0.2.10")), 80}};
    const auto worker = must(engine_->explain(request)).worker;
    ASSERT_TRUE(worker.has_value());
    ASSERT_TRUE(wan_->inject(buffers_, flow4(port)));
    ASSERT_TRUE(received(port));
    EXPECT_TRUE(lan_->take(net::raw(*worker))) << port;
  }
}

TEST_F(Dispatch, OneWorkerNeedsNone) {
  start(1);
  publish();
  EXPECT_EQ(log_, "");
  send_flows(100, 1);
  EXPECT_EQ(total()[LB_COUNT_HandedOut], 0u);
}

TEST_F(Dispatch, AnEngineThatEndsWithPacketsInItsRingsGivesTheirBuffersBack) {
  start(4, 1, 1);
  publish();
  const uint32_t before = buffers_.in_use();
  for (uint16_t f = 0; f < 1000; f++) ASSERT_TRUE(wan_->inject(buffers_, flow_of(f)));
  engine_.reset();
  wan_.reset();  // with what no worker took
  lan_.reset();
  EXPECT_EQ(buffers_.in_use(), before);
}

}  // namespace
}  // namespace lb::dpdk
