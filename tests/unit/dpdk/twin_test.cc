// The exception path over a port whose wire is in the test: the kernel of a network namespace of this process is on the
// other side of the port's twin, and answers by it.
#include "dataplane/dpdk/twin.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "tests/unit/dpdk/engine_world.h"

namespace lb::dpdk {
namespace {

using packet::Bytes;
using testing::eventually;
using testing::must;
using testing::verdicts;

// Before DPDK makes its threads, so that they are in the namespace too.
const std::string why_not = [] {
  if (geteuid() != 0) return "needs root: a network namespace and a TAP interface";
  if (access("/dev/net/tun", R_OK | W_OK) != 0) return "needs /dev/net/tun";
  if (unshare(CLONE_NEWNET) != 0) return "needs a network namespace of its own";
  return "";
}();

constexpr const char* kOurs = "10.9.0.1";
constexpr const char* kPeer = "10.9.0.2";

int ip(const std::string& arguments) {
  return std::system(("ip " + arguments).c_str());
}
// Of /sys/class/net of this namespace: /sys itself shows that in which it was mounted.
std::string link_of(const std::string& interface) {
  const std::string file = ::testing::TempDir() + "twin-test-link";
  (void)std::system(("ip -o link show dev " + interface + " > " + file + " 2>&1").c_str());
  std::string text;
  std::getline(std::ifstream(file), text);
  return text;
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Twins : public testing::EngineWorld {
 protected:
  void SetUp() override {
    if (!why_not.empty()) GTEST_SKIP() << why_not;
  }
  void TearDown() override {
    engine_.reset();
    for (const char* name : {"lbd-wan", "lbd-lan"}) (void)ip(std::string("link del ") + name + " 2>/dev/null");
  }
  void start_with_twins(uint16_t workers = 1) {
    start(workers, workers, workers, TwinsFor::kDeviceStrings);
    mac_ = engine_->ports()[0].mac;
  }
  void give_address() { ASSERT_EQ(ip(std::string("addr add ") + kOurs + "/24 dev lbd-wan"), 0); }
  // By the host, to the peer.
  static void send_udp(size_t payload) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    inet_pton(AF_INET, kPeer, &to.sin_addr);
    const Bytes bytes(payload);
    EXPECT_EQ(sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(payload));
    close(fd);
  }
  model::PortCounters wan() { return engine_->ports()[0]; }
  std::optional<Bytes> sent() {
    std::optional<Bytes> frame;
    eventually([&] { return (frame = wan_->take()).has_value(); }, std::chrono::seconds(5));
    return frame;
  }
  // A frame that the kernel sent for the test's sake, of a kind.
  std::optional<Bytes> sent(const std::function<bool(const Bytes&)>& wanted) {
    for (int i = 0; i < 200; i++) {
      const auto frame = sent();
      if (!frame || wanted(*frame)) return frame;
    }
    return std::nullopt;
  }
  // To the port, which has the twin's MAC: the device has none.
  packet::Packet eth() const { return packet::eth(mac_.to_string()); }
  // Who has kOurs? Tell kPeer.
  static Bytes arp_request() {
    Bytes frame = packet::mac_bytes("ff:ff:ff:ff:ff:ff");
    const auto add = [&](const Bytes& bytes) { frame.insert(frame.end(), bytes.begin(), bytes.end()); };
    add(packet::mac_bytes(packet::kRouterMac));
    add({0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1});
    add(packet::mac_bytes(packet::kRouterMac));
    add(packet::ip4_bytes(kPeer));
    add(Bytes(6));
    add(packet::ip4_bytes(kOurs));
    frame.resize(60);
    return frame;
  }
  static bool is_arp_reply(const Bytes& f) { return f.size() >= 42 && f[12] == 8 && f[13] == 6 && f[21] == 2; }
  static bool is_echo_reply(const Bytes& f) {
    return f.size() >= 42 && f[12] == 8 && f[13] == 0 && f[23] == 1 && f[34] == 0;
  }

  net::Mac mac_;
};

TEST_F(Twins, TheKernelAnswersArpAndPingByThePort) {
  start_with_twins();
  publish();
  give_address();
  ASSERT_TRUE(wan_->inject(buffers_, arp_request()));
  const auto reply = sent(is_arp_reply);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(std::equal(mac_.bytes.begin(), mac_.bytes.end(), reply->begin() + 6)) << "from the port's MAC";

  const Bytes ping = eth().ip4(kPeer, kOurs).icmp(8, 0, 0x12340001).payload("as it came").bytes();
  ASSERT_TRUE(wan_->inject(buffers_, ping));
  const auto pong = sent(is_echo_reply);
  ASSERT_TRUE(pong);
  EXPECT_TRUE(std::equal(ping.begin() + 38, ping.end(), pong->begin() + 38)) << "id, sequence number, data";
}

TEST_F(Twins, WhatIsPuntedIsCountedOnceAndTheKernelsFramesOnlyAtThePort) {
  start_with_twins(2);
  publish();
  give_address();
  ASSERT_TRUE(wan_->inject(buffers_, arp_request()));
  ASSERT_TRUE(sent(is_arp_reply));
  for (int i = 0; i < 10; i++)
    ASSERT_TRUE(
        wan_->inject(buffers_, eth().ip4(kPeer, "203.0.113.9").udp(1, 2).bytes(), static_cast<uint16_t>(i % 2)));
  ASSERT_TRUE(received(11));
  const auto c = total();
  EXPECT_EQ(c[LB_COUNT_Punted], 11u);
  EXPECT_EQ(c[LB_COUNT_NoExceptionPath], 0u);
  EXPECT_EQ(c[LB_COUNT_Forwarded], 0u);
  EXPECT_TRUE(eventually([&] { return wan().to_kernel == 11; }));
  EXPECT_EQ(wan().to_kernel_lost, 0u);
  const uint64_t from_kernel = wan().from_kernel;
  EXPECT_GT(from_kernel, 0u);
  EXPECT_TRUE(eventually([&] { return wan().tx_packets >= from_kernel; }));
  EXPECT_EQ(wan().from_kernel_lost, 0u);
}

TEST_F(Twins, OwnedPacketsThatAreTheKernelsGoUpToo) {
  start_with_twins();
  publish();
  ASSERT_TRUE(wan_->inject(buffers_, eth().ip6("2001:db8::7", "2001:db8::10", {.hop_limit = 255}).icmp6(135).bytes()));
  ASSERT_TRUE(received(1));
  EXPECT_EQ(total()[LB_COUNT_Punted], 1u);
}

TEST_F(Twins, ExplainSaysThatItIsPunted) {
  start_with_twins();
  publish();
  const auto e = must(engine_->explain({.proto = net::IpProto::kTcp,
                                        .source = {must(net::Address::parse(kPeer)), 1},
                                        .destination = {must(net::Address::parse(kOurs)), 22}}));
  EXPECT_EQ(e.verdict, "punted");
}

TEST_F(Twins, HasThePortsNameMacAndMtu) {
  start_with_twins();
  EXPECT_EQ(wan().twin, "lbd-wan");
  EXPECT_EQ(wan().ifname, "lbd-wan");
  const std::string link = link_of("lbd-wan");
  EXPECT_TRUE(has(link, mac_.to_string())) << link;
  EXPECT_TRUE(has(link, "mtu 1500")) << link;
  EXPECT_TRUE(has(link, "<BROADCAST,MULTICAST,UP,LOWER_UP>")) << link;
}

TEST_F(Twins, CarrierFollowsThePort) {
  start_with_twins();
  uint16_t id = 0;
  ASSERT_EQ(rte_eth_dev_get_port_by_name(wan_->device().c_str(), &id), 0);
  ASSERT_EQ(rte_eth_dev_set_link_down(id), 0);
  EXPECT_TRUE(eventually([] { return has(link_of("lbd-wan"), "NO-CARRIER"); }));
  EXPECT_FALSE(wan().link_up);
  ASSERT_EQ(rte_eth_dev_set_link_up(id), 0);
  EXPECT_TRUE(eventually([] { return has(link_of("lbd-wan"), "LOWER_UP"); }));
  EXPECT_TRUE(wan().link_up);
}

TEST_F(Twins, OutlivesTheEngineWithItsAddressesAndIsAdopted) {
  start_with_twins();
  give_address();
  EXPECT_TRUE(has(log_, "the new interface lbd-wan")) << log_;
  const unsigned index = if_nametoindex("lbd-wan");
  ASSERT_TRUE(engine_->keep());
  engine_.reset();
  EXPECT_EQ(if_nametoindex("lbd-wan"), index);
  EXPECT_TRUE(has(link_of("lbd-wan"), "NO-CARRIER"));
  ASSERT_EQ(ip("link set dev lbd-wan mtu 1400"), 0);

  wan_.reset();
  lan_.reset();
  log_.clear();
  start_with_twins();
  publish();
  EXPECT_TRUE(has(log_, "the interface lbd-wan")) << log_;
  EXPECT_EQ(if_nametoindex("lbd-wan"), index);
  EXPECT_TRUE(has(link_of("lbd-wan"), "mtu 1500"));
  ASSERT_TRUE(wan_->inject(buffers_, arp_request()));
  EXPECT_TRUE(sent(is_arp_reply)) << "its address is still there";
}

// Control has not said that the start is done.
TEST_F(Twins, ANewOneThatWasNotKeptGoesWithTheEngine) {
  start_with_twins();
  publish();
  ASSERT_NE(if_nametoindex("lbd-wan"), 0u);
  engine_.reset();
  EXPECT_EQ(if_nametoindex("lbd-wan"), 0u);
  EXPECT_EQ(if_nametoindex("lbd-lan"), 0u);
}

TEST_F(Twins, OfTwoThatCannotBothBeKeptNoneIs) {
  start_with_twins();
  publish();
  ASSERT_EQ(ip("link del lbd-lan"), 0);
  const net::Status kept = engine_->keep();
  ASSERT_FALSE(kept);
  EXPECT_TRUE(has(kept.error().message, "lbd-lan: cannot be made persistent")) << kept.error().message;
  engine_.reset();
  EXPECT_EQ(if_nametoindex("lbd-wan"), 0u);
}

TEST_F(Twins, ArpIsAnsweredUnderAFloodOfOtherPackets) {
  start_with_twins();
  publish();
  give_address();
  const Bytes other = eth().ip4(kPeer, kOurs).udp(1, 9).payload_size(1000).bytes();
  uint64_t flood = 0;
  std::optional<Bytes> reply;
  for (int round = 0; round < 50 && !reply; round++) {
    for (int i = 0; i < 500; i++) flood += wan_->inject(buffers_, other);
    while (!wan_->inject(buffers_, arp_request())) std::this_thread::yield();
    flood++;
    while (const auto frame = wan_->take())
      if (is_arp_reply(*frame)) reply = frame;
  }
  if (!reply) reply = sent(is_arp_reply);
  EXPECT_TRUE(reply);
  ASSERT_TRUE(received(flood));
  const auto c = total();
  EXPECT_EQ(c[LB_COUNT_Punted] + c[LB_COUNT_ExceptionFull], flood);
  EXPECT_TRUE(eventually([&] { return wan().to_kernel + wan().to_kernel_lost == c[LB_COUNT_Punted]; }));
}

TEST_F(Twins, GivesEveryBufferBack) {
  start_with_twins();
  publish();
  give_address();
  const uint32_t before = buffers_.in_use();
  for (int i = 0; i < 3000; i++) {
    (void)wan_->inject(buffers_, eth().ip4(kPeer, kOurs).udp(1, 9).bytes());
    if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(eventually([&] { return buffers_.in_use() == before; })) << buffers_.in_use() - before;
}

TEST_F(Twins, CountsWhatAnInterfaceThatIsDownDoesNotTake) {
  start_with_twins();
  publish();
  ASSERT_EQ(ip("link set dev lbd-wan down"), 0);
  ASSERT_TRUE(wan_->inject(buffers_, arp_request()));
  EXPECT_TRUE(eventually([&] { return wan().to_kernel_lost == 1; }));
  EXPECT_EQ(total()[LB_COUNT_Punted], 1u);
}

// The kernel's buffer ends at 3,584 bytes here; it cuts without a word what is longer.
TEST_F(Twins, SendsNoFrameThatIsCut) {
  start_with_twins();
  publish();
  give_address();
  ASSERT_EQ(ip("link set dev lbd-wan mtu 4000"), 0);
  ASSERT_EQ(ip(fmt::format("neigh replace {} lladdr {} dev lbd-wan", kPeer, packet::kRouterMac)), 0);
  const auto is_udp = [](const Bytes& f) { return f.size() >= 42 && f[12] == 8 && f[13] == 0 && f[23] == 17; };
  send_udp(kBufferRoom - 42);
  const auto whole = sent(is_udp);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->size(), size_t{kBufferRoom});
  EXPECT_EQ(wan().from_kernel_lost, 0u);
  send_udp(kBufferRoom - 41);
  EXPECT_TRUE(eventually([&] { return wan().from_kernel_lost == 1; }));
  send_udp(100);
  const auto next = sent(is_udp);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->size(), 142u) << "the frame after it";
}

// Nobody takes what the kernel sends: its queue is full, and it counts what it lost by itself.
TEST_F(Twins, CountsWhatTheKernelLostInFrontOfIt) {
  ASSERT_EQ(std::system("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"), 0);  // nothing but the test's frames
  wan_ = std::make_unique<testing::RingPort>("wan", uint16_t{1}, uint16_t{1}, must(net::Mac::parse(packet::kPortMac)));
  const auto device =
      must(Device::open({.name = wan_->device(), .arguments = {}, .workers = 1, .pool = buffers_.pool()}, eal_));
  const TwinOptions options{.name = "lbd-wan", .mac = {}, .largest_frame = kBufferRoom, .pool = buffers_.pool()};
  auto twin = must(Twin::open(options, *device));
  give_address();
  ASSERT_EQ(ip(fmt::format("neigh replace {} lladdr {} dev lbd-wan", kPeer, packet::kRouterMac)), 0);
  for (int i = 0; i < 3000; i++) send_udp(10);
  EXPECT_EQ(twin->counters().from_kernel, 0u);
  const uint64_t lost = twin->counters().from_kernel_lost;
  EXPECT_GT(lost, 0u);
  while (twin->carry())
    for (void* frame = nullptr; rte_ring_dequeue(twin->from_kernel(), &frame) == 0;)
      rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
  EXPECT_EQ(twin->counters().from_kernel + lost, 3000u);
  EXPECT_EQ(twin->counters().from_kernel_lost, lost);

  ASSERT_TRUE(twin->keep());
  twin.reset();
  twin = must(Twin::open(options, *device));
  EXPECT_TRUE(twin->adopted());
  EXPECT_EQ(twin->counters().from_kernel_lost, 0u) << "that was before";
  twin.reset();
  ASSERT_EQ(std::system("echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6"), 0);
}

TEST_F(Twins, SurvivesThatItsInterfaceIsRemoved) {
  start_with_twins();
  publish();
  ASSERT_EQ(ip("link del lbd-wan"), 0);
  ASSERT_TRUE(wan_->inject(buffers_, arp_request()));
  EXPECT_TRUE(eventually([&] { return wan().to_kernel_lost == 1; }));
}

// What an operator reads.
class TwinRefusal : public Twins {
 protected:
  net::Error refusal() {
    RingPort wan("refused", 1, must(net::Mac::parse(packet::kPortMac)));
    RingPort lan("refused2", 1, must(net::Mac::parse("02:00:00:00:00:02")));
    model::Daemon daemon;
    daemon.workers = {0};
    daemon.ports = {{.name = "wan", .device = wan.device(), .mtu = {}},
                    {.name = "lan", .device = lan.device(), .mtu = {}}};
    const auto engine = DpdkEngine::start(
        daemon, eal_, filters_, [this](std::string_view l) { log_ += l; }, {}, TwinsFor::kDeviceStrings);
    EXPECT_FALSE(engine);
    return engine ? net::Error{} : engine.error();
  }
  using RingPort = testing::RingPort;
};

TEST_F(TwinRefusal, AnInterfaceOfThatNameThatIsNoTap) {
  ASSERT_EQ(ip("link add lbd-wan type veth peer name other"), 0);
  const net::Error e = refusal();
  EXPECT_EQ(e.code, net::Code::kExists);
  EXPECT_EQ(e.message.find("port wan: there is an interface lbd-wan that is no TAP"), 0u) << e.message;
}

TEST_F(TwinRefusal, AStartThatFailsLeavesNoNewTwinAndKeepsAnAdoptedOne) {
  ASSERT_EQ(ip("link add lbd-lan type veth peer name other"), 0);
  EXPECT_EQ(refusal().code, net::Code::kExists);
  EXPECT_TRUE(has(log_, "the new interface lbd-wan")) << log_;
  EXPECT_EQ(if_nametoindex("lbd-wan"), 0u);

  ASSERT_EQ(ip("tuntap add dev lbd-wan mode tap"), 0);
  give_address();
  const unsigned index = if_nametoindex("lbd-wan");
  EXPECT_EQ(refusal().code, net::Code::kExists);
  EXPECT_EQ(if_nametoindex("lbd-wan"), index);
}

TEST_F(TwinRefusal, ATwinThatAnotherProcessHas) {
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  ifreq request = {};
  std::string("lbd-wan").copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  ASSERT_EQ(ioctl(fd, TUNSETIFF, &request), 0);
  const net::Error e = refusal();
  close(fd);
  EXPECT_EQ(e.code, net::Code::kUnavailable);
  EXPECT_EQ(e.message.find("port wan: lbd-wan is in use by another process"), 0u) << e.message;
}

}  // namespace
}  // namespace lb::dpdk
