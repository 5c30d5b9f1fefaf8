// The XDP engine as control sees it.
#include <atomic>
#include <thread>

#include "dataplane/model/explain_frame.h"
#include "tests/unit/xdp/engine_world.h"
#include "xdp/interface.h"

namespace lb::xdp {
namespace {

using packet::eth;

using SnapshotPtr = std::shared_ptr<const model::Snapshot>;

// A snapshot in which every service has tables of that many slots, all of one backend: number `backend`. alone: there
// is no record of another, so that who mixes two snapshots finds none.
SnapshotPtr with_tables(uint64_t generation, uint32_t slots, uint32_t tables, uint16_t backend, bool alone = false) {
  model::Snapshot s = *small_snapshot(generation);
  s.tables.clear();
  s.table_slots.clear();
  for (uint32_t i = 0; i < tables; i++) {
    s.tables.push_back(std::make_shared<const model::Table>(
        model::Table{.size = slots, .slots = std::vector<uint16_t>(slots, backend), .digest = 0}));
    s.table_slots.push_back(s.tables.back()->slots.data());
  }
  for (size_t id = 1; alone && id < s.backends.size(); id++)
    if (id != backend) s.backends[id] = {};
  for (lb_service& service : s.services) {
    service.table4 = service.table6 = static_cast<uint16_t>(tables - 1);
    service.table_size = slots;
  }
  return std::make_shared<const model::Snapshot>(std::move(s));
}

// What an encapsulated frame was sent to.
std::string outer_destination(const packet::Bytes& frame) {
  if (frame.size() < 34) return "too short";
  return std::to_string(frame[30]) + "." + std::to_string(frame[31]) + "." + std::to_string(frame[32]) + "." +
         std::to_string(frame[33]);
}

using XdpEngineTest = EngineWorld;

TEST_F(XdpEngineTest, NothingIsAttachedBeforeTheFirstSnapshot) {
  start();
  EXPECT_FALSE(shell("ip link show wan | grep -q xdp"));
  publish(small_snapshot(1));
  EXPECT_TRUE(shell("ip link show wan | grep -q xdp"));
  EXPECT_TRUE(shell("ip link show lan | grep -q xdp"));
  engine_.reset();
  EXPECT_FALSE(shell("ip link show wan | grep -q xdp"));
  EXPECT_FALSE(shell("ip link show lan | grep -q xdp"));
  EXPECT_FALSE(shell("ip link show | grep -q lbx-"));
}

TEST_F(XdpEngineTest, CountsByQueueServiceAndBackend) {
  start();
  publish(small_snapshot(7));
  uint64_t bytes = 0;
  for (uint16_t port = 1000; port < 1010; port++) {
    const Ran ran = run_attached("wan", syn(port));
    EXPECT_EQ(ran.action, XDP_REDIRECT);
    bytes += ran.out.size();
  }
  EXPECT_EQ(run_attached("lan", eth("02:00:00:00:00:02").ip4("198.51.100.7", "192.0.2.60").tcp(9, 80).bytes()).action,
            XDP_TX);
  EXPECT_EQ(run_attached("wan", eth().ip4("198.51.100.7", "192.0.2.99").udp(9, 80).bytes()).action, XDP_PASS);
  EXPECT_EQ(run_attached("wan", eth().ip4("198.51.100.7", "192.0.2.60").udp(9, 81).bytes()).action, XDP_DROP);
  const auto workers = engine_->workers();
  ASSERT_EQ(workers.size(), 3u);
  EXPECT_EQ(workers[0].name, "wan/0");
  EXPECT_EQ(workers[1].name, "lan/0");
  EXPECT_EQ(workers[2].name, "exception");
  for (const auto& w : workers) {
    EXPECT_EQ(net::raw(w.generation), 7u);
    EXPECT_FALSE(w.core);
  }
  EXPECT_EQ(workers[0].counters[LB_COUNT_Forwarded], 10u);
  EXPECT_EQ(workers[0].counters[LB_COUNT_ForwardedBytes], bytes);
  EXPECT_GE(workers[0].counters[LB_COUNT_Punted], 1u);  // what the kernel sends by itself, too
  EXPECT_EQ(workers[0].counters[LB_COUNT_RxPackets], 11u + workers[0].counters[LB_COUNT_Punted]);
  EXPECT_EQ(workers[0].counters[LB_COUNT_NoListener], 1u);
  EXPECT_EQ(workers[1].counters[LB_COUNT_Forwarded], 1u);
  const model::TrafficCounters traffic = engine_->traffic();
  uint64_t services = 0, backends = 0, service_bytes = 0;
  for (const lb_traffic& t : traffic.services) services += t.packets;
  for (const lb_traffic& t : traffic.services) service_bytes += t.bytes;
  for (const lb_traffic& t : traffic.backends) backends += t.packets;
  EXPECT_EQ(traffic.services.size(), LB_MAX_SERVICES);
  EXPECT_EQ(traffic.backends.size(), LB_MAX_BACKENDS + 1);
  EXPECT_EQ(services, 11u);
  EXPECT_EQ(backends, 11u);
  EXPECT_GT(service_bytes, 0u);
}

TEST_F(XdpEngineTest, PortsAreTheInterfaces) {
  ASSERT_TRUE(shell("ip link set lan mtu 1400"));
  start();
  publish(small_snapshot(1));
  ASSERT_EQ(run_attached("wan", syn(1)).action, XDP_REDIRECT);
  ASSERT_TRUE(shell("ip link set lan-peer down"));
  // The kernel tells it some time later.
  EXPECT_TRUE(eventually([this] { return !engine_->ports()[1].link_up; }));
  const auto ports = engine_->ports();
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_EQ(ports[0].name, "wan");
  EXPECT_EQ(ports[0].ifname, "wan");
  EXPECT_EQ(ports[0].driver, "xdp native");
  EXPECT_EQ(ports[0].mac.to_string(), packet::kPortMac);
  EXPECT_EQ(ports[0].mtu, 1500);
  EXPECT_EQ(ports[0].queues, 1);
  EXPECT_TRUE(ports[0].link_up);
  ASSERT_EQ(ports[0].rx_queues.size(), 1u);
  EXPECT_GE(ports[0].rx_queues[0].packets, 1u);
  EXPECT_EQ(ports[1].mtu, 1400);
  const model::EngineFacts facts = engine_->facts();
  EXPECT_EQ(facts.name, "xdp");
  ASSERT_EQ(facts.programs.size(), 2u);
  EXPECT_NE(facts.programs[0].id, facts.programs[1].id);
  EXPECT_GT(facts.programs[0].instructions, 0u);
  EXPECT_LT(facts.heartbeat_ms.value(), 60000u);
  EXPECT_EQ(facts.orphan_after_s, 60u);
  EXPECT_GT(facts.flow_bytes, 1024u * 64);
}

// A packet meets one snapshot or the other, never a mixture, however fast they follow.
TEST_F(XdpEngineTest, PacketsGoOnWhileSnapshotsChange) {
  start(0);
  const uint16_t first = 2, second = 3;
  const auto address_of = [](uint16_t backend) {
    const auto s = small_snapshot(1);
    for (const model::BackendState& b : s->backend_states)
      if (net::raw(b.id) == backend) return b.address.to_string();
    return std::string("none");
  };
  const std::string allowed[2] = {address_of(first), address_of(second)};
  publish(with_tables(1, 251, 1, first));
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> packets = 0, wrong = 0;
  std::thread sender([&] {
    for (uint16_t port = 1; !stop; port++, packets++) {
      const Ran ran = run_attached("wan", syn(port));
      const std::string to = outer_destination(ran.out);
      if (ran.action != XDP_REDIRECT || (to != allowed[0] && to != allowed[1])) wrong++;
    }
  });
  for (uint64_t generation = 2; generation < 40; generation++) {
    const uint16_t backend = generation % 2 == 0 ? second : first;
    publish(with_tables(generation, 65537, 3, backend, true));
    EXPECT_EQ(outer_destination(run_attached("wan", syn(5)).out), address_of(backend));
  }
  stop = true;
  sender.join();
  EXPECT_GT(packets, 100u);
  EXPECT_EQ(wrong, 0u);
}

TEST_F(XdpEngineTest, TablesThatNeedMoreRoomGetNewPrograms) {
  start();
  publish(small_snapshot(1));
  for (uint16_t port = 1; port < 6; port++) ASSERT_EQ(run_attached("wan", syn(port)).action, XDP_REDIRECT);
  const auto before = engine_->facts();
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> wrong = 0;
  std::thread sender([&] {
    for (uint16_t n = 0; !stop; n++)
      if (run_attached("wan", syn(1 + n % 5)).action != XDP_REDIRECT) wrong++;
  });
  publish(with_tables(2, 655373, 5, 2));  // 6.5 MB, of 4
  stop = true;
  sender.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_NE(engine_->facts().programs[0].id, before.programs[0].id);
  EXPECT_TRUE(logged("the tables need more room"));
  EXPECT_GE(counter(LB_COUNT_Forwarded), 5u);  // counted on
  EXPECT_EQ(net::raw(engine_->workers()[0].generation), 2u);
  EXPECT_EQ(engine_->flows()->count().live, 5u) << "the flows are still known";
  EXPECT_EQ(counter(LB_COUNT_FlowsInserted), 5u) << "to the programs too";
  publish(small_snapshot(3));
}

TEST_F(XdpEngineTest, WhatIsRefusedChangesNothing) {
  start();
  publish(small_snapshot(1));
  const Ran before = run_attached("wan", syn(1));
  model::Snapshot large = *small_snapshot(2);
  large.ranges.resize(LB_XDP_RANGES + 1);
  const auto refused = engine_->publish(std::make_shared<const model::Snapshot>(large));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kInvalid);
  EXPECT_NE(refused.error().message.find("65537 port ranges"), std::string::npos) << refused.error().message;
  const Ran after = run_attached("wan", syn(1));
  EXPECT_EQ(after.action, before.action);
  EXPECT_EQ(after.out, before.out);
  EXPECT_EQ(net::raw(engine_->workers()[0].generation), 1u);
}

// The program leaves what is too large to the pipeline.
TEST_F(XdpEngineTest, ExplainTellsWhatIsAnsweredAndWhatIsSplit) {
  start();
  publish(small_snapshot(4));
  model::ExplainRequest request;
  request.source = {must(net::Address::parse("198.51.100.7")), 1000};
  request.destination = {must(net::Address::parse("192.0.2.60")), 80};
  request.size = 3000;
  const auto asked = must(engine_->explain(request));
  EXPECT_EQ(asked.verdict, "answered");
  EXPECT_EQ(asked.reason, "too_big");
  EXPECT_EQ(asked.answer, "fragmentation needed");
  EXPECT_EQ(asked.without_df, "split");
  ASSERT_TRUE(asked.backend);
  request.size = asked.answer_mtu;
  EXPECT_EQ(must(engine_->explain(request)).verdict, "forwarded");
  request.size++;
  EXPECT_EQ(must(engine_->explain(request)).verdict, "answered");
  EXPECT_EQ(counter(LB_COUNT_Answered) + counter(LB_COUNT_RxPackets), 0u);
}

TEST_F(XdpEngineTest, ExplainTellsTheTruthAndChangesNothing) {
  start();
  publish(small_snapshot(4));
  model::ExplainRequest request;
  request.source = {must(net::Address::parse("198.51.100.7")), 1000};
  request.destination = {must(net::Address::parse("192.0.2.60")), 80};
  const auto asked = must(engine_->explain(request));
  EXPECT_EQ(asked.verdict, "forwarded");
  EXPECT_EQ(asked.service, "spread");
  EXPECT_FALSE(asked.tracked);
  EXPECT_EQ(net::raw(asked.generation), 4u);
  EXPECT_EQ(net::raw(asked.port.value()), 1u);
  EXPECT_EQ(counter(LB_COUNT_Forwarded), 0u);
  EXPECT_EQ(engine_->flows()->count().live, 0u);
  for (const lb_traffic& t : engine_->traffic().services) ASSERT_EQ(t.packets, 0u);
  const auto mac = must(net::Mac::parse(packet::kPortMac));
  const Ran real = run_attached("wan", must(model::build_frame(request, mac.bytes)));
  EXPECT_EQ(packet::difference(real.out, asked.out), "");
  EXPECT_EQ(engine_->flows()->count().live, 1u);
  const auto again = must(engine_->explain(request));
  ASSERT_TRUE(again.tracked);
  EXPECT_EQ(*again.tracked, model::FlowClass::kOnce);
  EXPECT_EQ(again.backend, asked.backend);
  EXPECT_EQ(again.chosen, asked.backend);
  request.destination.port = 81;
  const auto other = must(engine_->explain(request));
  EXPECT_EQ(other.verdict, "dropped");
  EXPECT_EQ(other.reason, "no_listener");
  request.size = 8000;
  const auto large = engine_->explain(request);
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().message.find("8000 bytes"), std::string::npos) << large.error().message;
}

// Killed: the programs go on, the next lbd takes over its flows and its place without a packet that meets none.
TEST_F(XdpEngineTest, TheNextLbdGoesOnWhereAKilledOneWas) {
  live_and_be_killed([this] {
    start();
    publish(small_snapshot(1));
    for (uint16_t port = 1; port < 9; port++) EXPECT_EQ(run_attached("wan", syn(port)).action, XDP_REDIRECT);
    EXPECT_FALSE(engine_->facts().programs[0].adopted);
  });
  EXPECT_EQ(run_attached("wan", syn(9)).action, XDP_REDIRECT) << "without lbd";
  const Ran before = run_attached("wan", ack(3));
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> packets = 0, wrong = 0;
  std::thread sender([&] {
    for (uint16_t n = 0; !stop; n++, packets++)
      if (run_attached("wan", ack(1 + n % 9)).action != XDP_REDIRECT) wrong++;
  });
  start();
  publish(small_snapshot(1));
  const uint64_t seen = packets;
  while (packets < seen + 100) std::this_thread::yield();
  stop = true;
  sender.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_TRUE(engine_->facts().programs[0].adopted);
  EXPECT_EQ(engine_->flows()->count().live, 9u);
  EXPECT_EQ(counter(LB_COUNT_FlowsInserted), 0u);
  EXPECT_GE(counter(LB_COUNT_FlowHits), 100u);
  EXPECT_EQ(packet::difference(before.out, run_attached("wan", ack(3)).out), "");
}

// With another number of queues the flows are found in the former tables, and copied.
TEST_F(XdpEngineTest, FlowsComeOverToAnotherShapeAndTheFormerMemoryGoes) {
  live_and_be_killed([this] {
    start();
    publish(small_snapshot(1));
    for (uint16_t port = 1; port < 9; port++) EXPECT_EQ(run_attached("wan", syn(port)).action, XDP_REDIRECT);
  });
  start(2048);
  publish(small_snapshot(1));
  for (uint16_t port = 1; port < 9; port++) EXPECT_EQ(run_attached("wan", ack(port)).action, XDP_REDIRECT);
  EXPECT_EQ(counter(LB_COUNT_ForeignFound), 8u);
  EXPECT_EQ(run_attached("wan", ack(1)).action, XDP_REDIRECT);
  EXPECT_EQ(counter(LB_COUNT_FlowHits), 1u);
}

TEST_F(XdpEngineTest, WithoutFlowsNothingIsTrackedAndNothingIsLeft) {
  live_and_be_killed([this] {
    start();
    publish(small_snapshot(1));
  });
  start(0);
  EXPECT_FALSE(std::filesystem::exists(folder() + "/flows"));
  publish(small_snapshot(1));
  EXPECT_EQ(engine_->flows(), nullptr);
  for (uint16_t port = 1; port < 9; port++) EXPECT_EQ(run_attached("wan", syn(port)).action, XDP_REDIRECT);
  EXPECT_EQ(counter(LB_COUNT_FlowsInserted), 0u);
  EXPECT_EQ(engine_->facts().flow_bytes, 0u);
}

TEST_F(XdpEngineTest, StoppedAndStartedAgainItKnowsItsFlows) {
  start();
  publish(small_snapshot(1));
  for (uint16_t port = 1; port < 9; port++) EXPECT_EQ(run_attached("wan", syn(port)).action, XDP_REDIRECT);
  engine_.reset();
  EXPECT_EQ(run_attached("wan", ack(1)).action, XDP_ABORTED) << "nothing is attached";
  start();
  publish(small_snapshot(1));
  EXPECT_FALSE(engine_->facts().programs[0].adopted);
  EXPECT_EQ(engine_->flows()->count().live, 8u);
}

// The heart beats from before the first packet on; without it everything is the kernel's.
TEST_F(XdpEngineTest, WithoutASignOfLifeTheProgramsStepAside) {
  XdpOptions o = options();
  o.orphan_after_s = 2;
  engine_ = must(XdpEngine::start(o));
  // Longer than it may be silent, had it been attached.
  ASSERT_TRUE(eventually([this] { return engine_->facts().heartbeat_ms > 2100u; }));
  publish(small_snapshot(1));
  EXPECT_EQ(run_attached("wan", syn(1)).action, XDP_REDIRECT);
  for (int beat = 0; beat < 3; beat++) {
    ASSERT_TRUE(eventually([this] { return engine_->facts().heartbeat_ms >= 50u; }));
    ASSERT_TRUE(eventually([this] { return engine_->facts().heartbeat_ms < 50u; })) << "the keeper keeps";
  }
  engine_.reset();
  live_and_be_killed([&] {
    engine_ = must(XdpEngine::start(o));
    publish(small_snapshot(2));
  });
  EXPECT_EQ(run_attached("wan", syn(3)).action, XDP_REDIRECT);
  EXPECT_TRUE(eventually([] { return run_attached("wan", syn(3)).action == XDP_PASS; }));
}

TEST_F(XdpEngineTest, RefusalsAreSentences) {
  const auto refusal = [&](const XdpOptions& o) {
    auto started = XdpEngine::start(o);
    if (!started) return started.error().message;
    const auto published = (*started)->publish(small_snapshot(1));
    return published ? std::string("none") : published.error().message;
  };
  const auto says = [](const std::string& got, const std::string& words) {
    EXPECT_NE(got.find(words), std::string::npos) << got;
  };
  XdpOptions o = options();
  o.interfaces = {};
  says(refusal(o), "daemon.xdp.interfaces");
  o = options();
  o.interfaces[1].name = "gone0";
  says(refusal(o), "no network interface 'gone0'");
  o.interfaces[1].name = "lo";
  says(refusal(o), "lo is no Ethernet interface");
  ASSERT_TRUE(shell("ip link set lan down"));
  says(refusal(options()), "lan is down; bring it up: ip link set dev lan up");
  ASSERT_TRUE(shell("ip link set lan up"));
  ASSERT_TRUE(
      shell("ip link add many numrxqueues 63 numtxqueues 1 type veth peer name many-peer && ip link set many up"));
  o.interfaces[1].name = "many";
  says(refusal(o), "the interfaces have 64 receive queues together, 63 are possible");
  ASSERT_TRUE(shell("ip link set lan-peer mtu 9000"));
  says(refusal(options()), "mode: generic works");
  EXPECT_FALSE(shell("ip link show wan | grep -q xdp")) << "a start that failed leaves nothing";
  o = options();
  o.interfaces[1].mode = model::XdpMode::kGeneric;
  EXPECT_EQ(refusal(o), "none");
  ASSERT_TRUE(shell("ip link set lan-peer mtu 1500"));
  start();
  publish(small_snapshot(1));
  says(refusal(options()), "another lbd");
  o = options();
  o.folder = parent_ + "/other/xdp";
  std::filesystem::create_directory(parent_ + "/other");
  says(refusal(o), "another lbd may have it");
  (void)umount2(o.folder.c_str(), MNT_DETACH);
  EXPECT_EQ(run_attached("wan", syn(1)).action, XDP_REDIRECT) << "the first one goes on";
  EXPECT_EQ(xdp_use("wan").by, model::XdpUse::By::kLbd);
  EXPECT_EQ(xdp_use("wan-peer").by, model::XdpUse::By::kNobody);
  engine_.reset();
  const Fd foreign = program();
  const int lan = static_cast<int>(if_nametoindex("lan"));
  ASSERT_EQ(bpf_xdp_attach(lan, foreign.get(), 0, nullptr), 0);
  says(refusal(options()), "lan is busy: another XDP program is attached (lbd_balance, id ");
  EXPECT_EQ(xdp_use("lan").by, model::XdpUse::By::kOther) << "its name alone says nothing";
  EXPECT_FALSE(shell("ip link show wan | grep -q xdp")) << "a start that failed leaves nothing";
  EXPECT_TRUE(shell("ip link show lan | grep -q xdp")) << "and takes nothing away";
}

}  // namespace
}  // namespace lb::xdp
