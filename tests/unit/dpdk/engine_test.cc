// The engine with its worker threads over ring ports: every frame gets one verdict and every buffer comes back.
#include "dataplane/dpdk/dpdk_engine.h"

#include <random>

#include "tests/unit/dpdk/engine_world.h"

namespace lb::dpdk {
namespace {

using packet::eth;
using testing::must;
using testing::verdicts;

class Engine : public testing::EngineWorld {};

packet::Packet syn(uint16_t port = 40000) {
  return eth().ip4("198.51.100.7", "192.0.2.10").tcp(port, 80);
}

TEST_F(Engine, OwnsNothingBeforeTheFirstPublication) {
  start(1);
  ASSERT_TRUE(wan_->inject(buffers_, syn().bytes()));
  ASSERT_TRUE(received(1));
  EXPECT_EQ(total()[LB_COUNT_NoExceptionPath], 1u);
  EXPECT_EQ(net::raw(engine_->workers()[0].generation), 0u);
}

TEST_F(Engine, EveryWorkerUsesTheSnapshotWhenPublishReturns) {
  start(2);
  publish();
  for (const auto& w : engine_->workers()) EXPECT_EQ(net::raw(w.generation), 1u);
  uint64_t sent = 0;
  for (uint16_t port = 1; port <= 64; port++) sent += wan_->inject(buffers_, syn(port).bytes(), port % 2);
  ASSERT_TRUE(received(sent));
  for (const auto& w : engine_->workers()) EXPECT_GT(w.counters[LB_COUNT_Forwarded], 0u);
  EXPECT_EQ(drain(), sent);
}

TEST_F(Engine, DropsWhatTheEgressQueueDoesNotAcceptAndGivesItsBufferBack) {
  start(1);
  publish();
  const uint32_t before = buffers_.in_use();
  uint64_t sent = 0;
  while (total()[LB_COUNT_TxFull] == 0 && sent < 5000) {  // nobody takes from the wire: 1,023 fit
    for (int i = 0; i < 64; i++) sent += wan_->inject(buffers_, syn(static_cast<uint16_t>(sent + 1)).bytes());
    ASSERT_TRUE(received(sent));
  }
  const auto c = total();
  EXPECT_GT(c[LB_COUNT_TxFull], 0u);
  EXPECT_EQ(c[LB_COUNT_Forwarded], drain());
  EXPECT_EQ(buffers_.in_use(), before);
}

TEST_F(Engine, JoinsAFrameThatComesInSegments) {
  start(1);
  publish();
  const auto frame = eth().ip4("198.51.100.7", "192.0.2.10").tcp(40000, 80).payload_size(400).bytes();
  ASSERT_TRUE(wan_->inject_segments(buffers_, frame, 60));
  ASSERT_TRUE(received(1));
  const auto out = lan_->take();
  ASSERT_TRUE(out);
  ASSERT_EQ(out->size(), frame.size() + 20);
  EXPECT_TRUE(std::equal(frame.begin() + 34, frame.end(), out->begin() + 54));  // behind both IP headers
}

// As of NICs that hash the ports of a first fragment: its worker is another's. Nothing else comes. A machine that is
// busy for as long as a fragment is held gets another datagram.
TEST_F(Engine, AFragmentFindsItsFirstOneWithAnotherWorker) {
  start(2);
  publish();
  const auto ip = [](uint16_t id, uint16_t offset) {
    return eth().ip4("198.51.100.7", "192.0.2.30",
                     {.id = id, .df = false, .mf = offset == 0, .offset = offset, .proto = uint8_t{17}});
  };
  const auto is_forwarded = [&](uint16_t id) {
    const uint64_t before = total()[LB_COUNT_Forwarded];
    EXPECT_TRUE(wan_->inject(buffers_, ip(id, 9).payload_size(64).bytes(), 1));
    EXPECT_TRUE(testing::eventually([&] { return total()[LB_COUNT_FragmentsHeld] == id; }));
    EXPECT_TRUE(wan_->inject(buffers_, ip(id, 0).udp(40000, 8050).payload_size(64).bytes(), 0));
    EXPECT_TRUE(testing::eventually([&] { return total()[LB_COUNT_Held] == 0; }));
    return testing::eventually([&] { return total()[LB_COUNT_Forwarded] == before + 2; }, std::chrono::seconds(1));
  };
  uint16_t id = 1;
  while (id < 5 && !is_forwarded(id)) id++;
  EXPECT_LT(id, 5);
}

TEST_F(Engine, PublishesWhileTrafficRuns) {
  start(1);
  const uint32_t before = buffers_.in_use();
  uint64_t sent = 0;
  for (int generation = 0; generation < 200; generation++) {
    for (int i = 0; i < 16; i++) sent += wan_->inject(buffers_, syn(static_cast<uint16_t>(i + 1)).bytes());
    publish(generation % 2 == 1);
    drain();
  }
  ASSERT_TRUE(received(sent));
  drain();
  const auto c = total();
  EXPECT_GT(c[LB_COUNT_Forwarded], 0u);
  EXPECT_GT(c[LB_COUNT_NoExceptionPath], 0u);
  EXPECT_EQ(buffers_.in_use(), before);
}

TEST_F(Engine, ExplainSaysWhatThenHappensAndCountsNothing) {
  start(1);
  publish();
  for (uint16_t port = 1; port <= 200; port++) {
    const auto before = total();
    const model::ExplainRequest request{.proto = net::IpProto::kTcp,
                                        .source = {must(net::Address::parse("198.51.100.7")), port},
                                        .destination = {must(net::Address::parse("192.0.2.60")), 80}};
    const auto e = must(engine_->explain(request));
    EXPECT_EQ(total(), before);
    ASSERT_EQ(e.verdict, "forwarded");
    EXPECT_EQ(e.service, "spread");
    EXPECT_EQ(net::raw(e.worker.value()), 0);
    ASSERT_TRUE(wan_->inject(buffers_, eth().ip4("198.51.100.7", "192.0.2.60").tcp(port, 80).bytes()));
    ASSERT_TRUE(received(port));
    const auto out = lan_->take();
    ASSERT_TRUE(out);
    const size_t outer = sizeof(lb_eth);  // Ethernet and outer header alike; the inner packets differ in TCP's details
    ASSERT_GE(out->size(), outer + 40);
    EXPECT_TRUE(std::equal(out->begin(), out->begin() + outer + 2, e.out.begin()));
    const size_t addresses = (*out)[outer] >> 4 == 4 ? outer + 12 : outer + 8;
    EXPECT_TRUE(std::equal(out->begin() + addresses, out->begin() + addresses + 8, e.out.begin() + addresses));
  }
}

TEST_F(Engine, ExplainTellsWhatIsAnsweredAndWhatIsSplit) {
  start(1);
  publish();
  const auto before = total();
  for (const bool ipv4 : {true, false}) {
    model::ExplainRequest request{.proto = ipv4 ? net::IpProto::kTcp : net::IpProto::kUdp,
                                  .source = {must(net::Address::parse(ipv4 ? "198.51.100.7" : "2001:db8:f::7")), 40000},
                                  .destination = {must(net::Address::parse(ipv4 ? "192.0.2.60" : "2001:db8::10")),
                                                  static_cast<uint16_t>(ipv4 ? 80 : 53)},
                                  .size = 9000};
    const auto e = must(engine_->explain(request));
    EXPECT_EQ(e.verdict, "answered");
    EXPECT_EQ(e.reason, "too_big");
    EXPECT_EQ(e.answer, ipv4 ? "fragmentation needed" : "packet too big");
    EXPECT_EQ(e.without_df, ipv4 ? "split" : "");
    ASSERT_TRUE(e.backend);
    request.size = e.answer_mtu;
    EXPECT_EQ(must(engine_->explain(request)).verdict, "forwarded") << request.size;
    request.size++;
    EXPECT_EQ(must(engine_->explain(request)).verdict, "answered") << request.size;
  }
  EXPECT_EQ(total(), before);
}

// A burst of mutations: bytes flipped, cut, lengthened. Half of the frames start as valid packets to owned addresses.
packet::Bytes mutate(packet::Bytes frame, std::mt19937& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  for (size_t k = below(4); k > 0; k--)
    if (!frame.empty()) frame[below(frame.size())] = static_cast<uint8_t>(random());
  if (random() % 4 == 0) frame.resize(below(frame.size() + 1));
  if (random() % 8 == 0) frame.resize(frame.size() + below(1400));
  return frame;
}

packet::Bytes random_frame(uint32_t number, std::mt19937& random) {
  const auto port = static_cast<uint16_t>(random());
  switch (number % 6) {
    case 0:
      return mutate(eth().ip4("198.51.100.7", "192.0.2.10").tcp(port, 80).bytes(), random);
    case 1:
      return mutate(eth().ip6("2001:db8:f::7", "2001:db8::10").udp(port, 53).payload("query").bytes(), random);
    case 2:
      return mutate(eth().vlan(7).ip4("198.51.100.7", "192.0.2.30").udp(port, 8050).payload_size(600).bytes(), random);
    default:
      break;
  }
  packet::Bytes frame(random() % 300);
  for (uint8_t& byte : frame) byte = static_cast<uint8_t>(random());
  const auto mac = packet::mac_bytes(packet::kPortMac);
  if (frame.size() >= 14 && number % 6 != 5) std::copy(mac.begin(), mac.end(), frame.begin());
  return frame;
}

TEST_F(Engine, MutatedFramesEachGetOneVerdictAndNoBufferIsLost) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  start(1);
  publish();
  const uint32_t before = buffers_.in_use(), engine_before = engine_->buffers_in_use();
  uint64_t sent = 0, left = 0;
  for (uint32_t i = 0; i < 12'000; i++) {
    sent += wan_->inject(buffers_, random_frame(i, random));
    if (i % 256 != 255) continue;
    ASSERT_TRUE(received(sent));
    left += drain();
  }
  ASSERT_TRUE(received(sent));
  ASSERT_TRUE(testing::eventually([&] { return verdicts(total()) == sent; }));  // what is held gives up in a moment
  left += drain();
  const auto c = total();
  EXPECT_EQ(c[LB_COUNT_Forwarded] + c[LB_COUNT_Answered], left);
  EXPECT_GT(left, 1000u);
  EXPECT_EQ(buffers_.in_use(), before);
  EXPECT_EQ(engine_->buffers_in_use(), engine_before);
}

TEST_F(Engine, PortsTellTheirNamesAndCounters) {
  start(1);
  publish();
  ASSERT_TRUE(wan_->inject(buffers_, syn().bytes()));
  ASSERT_TRUE(received(1));
  const auto ports = engine_->ports();
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_EQ(ports[0].name, "wan");
  EXPECT_EQ(ports[0].device, "net_ring_wan");
  EXPECT_EQ(ports[0].driver, "net_ring");
  EXPECT_EQ(ports[0].rx_packets, 1u);
  EXPECT_EQ(ports[1].tx_packets, 1u);
  EXPECT_EQ(ports[1].tx_lost, 0u);
}

TEST_F(Engine, TrafficIsCountedByServiceAndBackend) {
  start(1);
  publish();
  ASSERT_TRUE(wan_->inject(buffers_, syn().bytes()));
  ASSERT_TRUE(received(1));
  const auto traffic = engine_->traffic();
  uint64_t services = 0, backends = 0;
  for (const lb_traffic& t : traffic.services) services += t.packets;
  for (const lb_traffic& t : traffic.backends) backends += t.packets;
  EXPECT_EQ(services, 1u);
  EXPECT_EQ(backends, 1u);
}

}  // namespace
}  // namespace lb::dpdk
