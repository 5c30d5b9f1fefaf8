// The exception path over real interfaces, the program's part played by redirect_all.bpf.c.
#include "xdp/exception_path.h"

#include <netinet/in.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/packet/fragmenter.h"
#include "tests/unit/xdp/exception_world.h"

namespace lb::xdp {
namespace {

using packet::eth;
using packet::Packet;
using testing::Bytes;
using testing::eventually;
using testing::ExceptionWorld;
using testing::shell;
using testing::small_snapshot;
using testing::Wire;

constexpr const char* kClient4 = "198.51.100.7";
constexpr const char* kClient6 = "2001:db8:c::7";
constexpr const char* kBackendMac = "02:00:00:00:01:11";
const Bytes kOptions = {1, 1, 1, 0};  // three times no operation, the end

packet::Ip4 with_options(uint8_t ttl = 64) {
  packet::Ip4 o;
  o.ttl = ttl;
  o.options = kOptions;
  return o;
}
Packet to_web(uint16_t port) {
  return eth().ip4(kClient4, "192.0.2.10", with_options()).tcp(port, 80).payload("hello");
}
Packet to_the_kernel(std::string_view text) {
  return eth().ip4(kClient4, "192.0.2.99", with_options()).udp(4000, 4001).payload(text);
}

INSTANTIATE_TEST_SUITE_P(Modes, ExceptionWorld, ::testing::Values(model::XdpMode::kNative, model::XdpMode::kGeneric),
                         [](const auto& mode) { return mode.param == model::XdpMode::kNative ? "native" : "generic"; });

TEST_P(ExceptionWorld, OptionsOfIpv4AreForwarded) {
  start();
  wan_->send(to_web(40000).bytes());
  const Bytes out = lan_->next(kBackendMac);
  // The identification of the outer header is nobody's business here.
  const Bytes inner = ip4(kClient4, "192.0.2.10", with_options(63)).tcp(40000, 80).payload("hello").bytes();
  ASSERT_EQ(out.size(), 14 + 20 + inner.size()) << packet::describe(out);
  EXPECT_EQ(packet::difference(inner, Bytes(out.begin() + 34, out.end())), "");
  EXPECT_EQ(Bytes(out.begin() + 6, out.begin() + 12), packet::mac_bytes(testing::kLanMac));
  EXPECT_EQ(Bytes(out.begin() + 26, out.begin() + 34), (Bytes{10, 0, 0, 1, 10, 0, 0, 11}));
  ASSERT_TRUE(judged(1));
  EXPECT_EQ(memory_.counter(LB_COUNT_HandedIn), 1u);
  EXPECT_EQ(memory_.counter(LB_COUNT_Forwarded), 1u);
  EXPECT_EQ(memory_.counter(LB_COUNT_ForwardedBytes), out.size());
  EXPECT_EQ(memory_.counter(LB_COUNT_RxPackets), 0u);
}

TEST_P(ExceptionWorld, ExtensionHeadersOfIpv6AreForwarded) {
  start();
  wan_->send(eth().ip6(kClient6, "2001:db8::10").extension(60, 8).udp(5000, 53).payload("query").bytes());
  const Bytes out = lan_->next(kBackendMac);
  packet::Ip6 one_hop_less;
  one_hop_less.hop_limit = 63;
  const Bytes inner =
      packet::ip6(kClient6, "2001:db8::10", one_hop_less).extension(60, 8).udp(5000, 53).payload("query").bytes();
  ASSERT_EQ(out.size(), 14 + 20 + inner.size()) << packet::describe(out);
  EXPECT_EQ(packet::difference(inner, Bytes(out.begin() + 34, out.end())), "");
  ASSERT_TRUE(judged(1));
  uint64_t of_services = 0, of_backends = 0;
  for (const lb_traffic& t : memory_.services) of_services += t.packets;
  for (const lb_traffic& t : memory_.backends) of_backends += t.bytes;
  EXPECT_EQ(of_services, 1u);
  EXPECT_EQ(of_backends, out.size());
}

TEST_P(ExceptionWorld, FlowsAreTracked) {
  start();
  packet::Tcp acknowledgement;  // a SYN would be chosen for each time
  acknowledgement.flags = 0x10;
  for (int i = 0; i < 3; i++) {
    wan_->send(eth().ip4(kClient4, "192.0.2.10", with_options()).tcp(40000, 80, acknowledgement).bytes());
    ASSERT_FALSE(lan_->next(kBackendMac).empty());
    ASSERT_TRUE(judged(static_cast<uint64_t>(i) + 1));
  }
  EXPECT_EQ(memory_.counter(LB_COUNT_FlowsInserted), 1u);
  EXPECT_EQ(memory_.counter(LB_COUNT_FlowHits), 2u);
}

Bytes inner_of(const Bytes& out) {
  return {out.begin() + std::min<ptrdiff_t>(34, static_cast<ptrdiff_t>(out.size())), out.end()};
}

TEST_P(ExceptionWorld, FragmentsWaitForTheirFirstOne) {
  start();
  const Bytes whole = eth().ip4(kClient4, "192.0.2.30", {.df = false}).udp(4000, 8000).payload_size(2000).bytes();
  const auto frames = packet::cut_every(whole, 100, 7);
  ASSERT_EQ(frames.size(), 3u);
  for (const size_t k : {2u, 1u, 0u}) wan_->send(frames[k]);
  std::vector<Bytes> left;
  for (int k = 0; k < 3; k++) left.push_back(inner_of(lan_->next(kBackendMac)));
  const auto together = packet::put_together(left);
  ASSERT_TRUE(together);
  EXPECT_EQ(Bytes(together->begin() + 20, together->end()), Bytes(whole.begin() + 34, whole.end()));
  ASSERT_TRUE(judged(3));
  EXPECT_EQ(memory_.counter(LB_COUNT_Forwarded), 3u);
  EXPECT_EQ(memory_.counter(LB_COUNT_Held), 0u);

  wan_->send(packet::cut_every(whole, 100, 8)[1]);
  EXPECT_TRUE(eventually([&] { return memory_.counter(LB_COUNT_Held) == 1; }));
  ASSERT_TRUE(judged(4)) << "its time is over while nothing comes";
  EXPECT_EQ(memory_.counter(LB_COUNT_FragmentUnmatched), 1u);
  EXPECT_EQ(memory_.counter(LB_COUNT_Held), 0u);
}

TEST_P(ExceptionWorld, WhatDoesNotFitIsSplit) {
  start();
  const Bytes whole = eth().ip4(kClient4, "192.0.2.30", {.df = false}).udp(4000, 8000).payload_size(2900).bytes();
  wan_->send(whole);
  std::vector<Bytes> left;
  uint64_t bytes = 0;
  for (int k = 0; k < 2; k++) {
    const Bytes out = lan_->next(kBackendMac);
    EXPECT_LE(out.size(), 1514u);
    bytes += out.size();
    left.push_back(inner_of(out));
  }
  const auto together = packet::put_together(left);
  ASSERT_TRUE(together);
  EXPECT_EQ(Bytes(together->begin() + 20, together->end()), Bytes(whole.begin() + 34, whole.end()));
  ASSERT_TRUE(judged(1));
  EXPECT_EQ(memory_.counter(LB_COUNT_ForwardedBytes), bytes);
  EXPECT_EQ(memory_.counter(LB_COUNT_PiecesSent), 2u);
}

TEST_P(ExceptionWorld, WhatIsPuntedReachesTheKernelUnchangedAndOnce) {
  const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(4001);
  ASSERT_EQ(bind(udp, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const timeval patience = {.tv_sec = 5, .tv_usec = 0};
  ASSERT_EQ(setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  const Wire kernel("wan0");  // sees what the kernel gets
  start();
  for (const char* text : {"one", "two"}) {
    const Bytes sent = to_the_kernel(text).bytes();
    wan_->send(sent);
    ASSERT_EQ(packet::difference(sent, kernel.next(packet::kPortMac.data())), "");
    char got[8] = {};
    ASSERT_EQ(recv(udp, got, sizeof got, 0), 3);
    EXPECT_STREQ(got, text);
  }
  close(udp);
  ASSERT_TRUE(judged(2));
  EXPECT_EQ(memory_.counter(LB_COUNT_Punted), 2u);
  EXPECT_EQ(skeleton_->bss->passed, generic() ? 2u : 0u);
  EXPECT_TRUE(kernel.next(packet::kPortMac.data(), false).empty());
  EXPECT_TRUE(lan_->next(kBackendMac, false).empty());
}

TEST_P(ExceptionWorld, PuntsOfThreeKilobytesAreTaken) {
  const Wire kernel("wan0");
  start();
  const Bytes sent = to_the_kernel(std::string(2900, 'x')).bytes();
  wan_->send(sent);
  EXPECT_EQ(packet::difference(sent, kernel.next(packet::kPortMac.data())), "");
}

TEST_P(ExceptionWorld, EveryPacketIsCountedOnce) {
  start();
  constexpr int kRounds = 100;
  for (int i = 0; i < kRounds; i++) {
    wan_->send(to_web(static_cast<uint16_t>(1000 + i)).bytes());
    wan_->send(to_the_kernel("x").bytes());
    wan_->send(eth().ip4(kClient4, "192.0.2.10", with_options()).tcp(1, 81).bytes());     // no listener
    wan_->send(eth().ip4(kClient4, "192.0.2.10", with_options(1)).tcp(1, 80).bytes());    // ttl
    wan_->send(eth("02:00:00:00:00:77").ip4(kClient4, "192.0.2.10").tcp(1, 80).bytes());  // to another host: not ours
  }
  ASSERT_TRUE(judged(4 * kRounds)) << memory_.verdicts();
  EXPECT_EQ(memory_.counter(LB_COUNT_HandedIn), 4u * kRounds);
  EXPECT_EQ(memory_.counter(LB_COUNT_Forwarded), 1u * kRounds);
  EXPECT_EQ(memory_.counter(LB_COUNT_Punted), 1u * kRounds);
  EXPECT_EQ(memory_.counter(static_cast<lb_counter>(LB_DROP_NoListener)), 1u * kRounds);
  // As many answers as a source may have.
  EXPECT_GT(memory_.counter(LB_COUNT_Answered), 0u);
  EXPECT_EQ(memory_.counter(static_cast<lb_counter>(LB_DROP_TtlExpired)), kRounds - memory_.counter(LB_COUNT_Answered));
}

TEST_P(ExceptionWorld, WhatTheKernelSendsByTheTapIsIgnored) {
  start();
  const Wire tap(path_->tap(net::PortId{0}).c_str());
  tap.send(eth("ff:ff:ff:ff:ff:ff").ip4(kClient4, "192.0.2.10").tcp(1, 80).bytes());
  tap.send(eth("33:33:00:00:00:01").ip6(kClient6, "2001:db8::10").udp(1, 53).bytes());
  wan_->send(to_web(40000).bytes());
  ASSERT_TRUE(judged(1));
  EXPECT_EQ(memory_.counter(LB_COUNT_HandedIn), 1u);
  EXPECT_FALSE(shell("ip addr show dev lbx-wan0 | grep -q inet"));
}

TEST_P(ExceptionWorld, AnEgressThatCannotSendDropsTxFull) {
  start();
  ASSERT_TRUE(shell("ip link set lan0 down"));
  wan_->send(to_web(40000).bytes());
  ASSERT_TRUE(judged(1));
  EXPECT_EQ(memory_.counter(static_cast<lb_counter>(LB_DROP_TxFull)), 1u);
}

TEST_P(ExceptionWorld, WhatTheEgressFindsTooBigIsDroppedSo) {
  start();
  ASSERT_TRUE(shell("ip link set lan0 mtu 1000"));  // the snapshot does not know yet
  wan_->send(eth().ip4(kClient4, "192.0.2.10", with_options()).tcp(1, 80).payload_size(1200).bytes());
  ASSERT_TRUE(judged(1));
  EXPECT_EQ(memory_.counter(static_cast<lb_counter>(LB_DROP_TooBig)), 1u);
}

TEST_P(ExceptionWorld, JumboFramesComeIn) {
  if (!generic()) GTEST_SKIP() << "native mode on veth does not have them";
  ASSERT_TRUE(shell("for i in wan0 wan1; do ip link set $i mtu 9000; done"));
  start();
  wan_->send(eth().ip4(kClient4, "192.0.2.10", with_options()).tcp(1, 80).payload_size(8900).bytes());
  ASSERT_TRUE(judged(1));
  EXPECT_EQ(memory_.counter(LB_COUNT_Answered), 1u);  // of the backend's 1,500
}

TEST_P(ExceptionWorld, ASnapshotIsTakenWithoutPacketsAndTheOneBeforeFreed) {
  start();
  std::weak_ptr<const model::Snapshot> before;
  {
    auto snapshot = small_snapshot(8);
    before = snapshot;
    path_->set_snapshot(std::move(snapshot));
  }
  EXPECT_TRUE(eventually([&] { return path_->generation() == 8; }));
  path_->set_snapshot(small_snapshot(9, true));
  EXPECT_TRUE(eventually([&] { return path_->generation() == 9 && before.expired(); }));
  wan_->send(to_web(40000).bytes());
  ASSERT_TRUE(judged(1));
  EXPECT_EQ(memory_.counter(LB_COUNT_Punted), 1u);  // no address is owned any more
}

TEST_P(ExceptionWorld, NothingIsTakenBeforeTheFirstSnapshotAndTheQueueIsBounded) {
  start(false);
  const auto lost = [&] { return path_->lost(net::PortId{0}); };
  uint64_t sent = 0;
  const Bytes frame = to_web(40000).bytes();
  ASSERT_TRUE(eventually([&] {
    for (int i = 0; i < 64; i++, sent++) wan_->send(frame);
    return lost() > 0;
  }));
  EXPECT_EQ(memory_.counter(LB_COUNT_HandedIn), 0u);
  path_->set_snapshot(small_snapshot(7));
  EXPECT_TRUE(eventually([&] { return memory_.verdicts() + lost() == sent; })) << memory_.verdicts() << " " << lost();
}

TEST_P(ExceptionWorld, ATapThatSomebodyRemovesStopsNothingElse) {
  start();
  ASSERT_TRUE(shell("ip link del " + path_->tap(net::PortId{0})));
  wan_->send(to_web(40000).bytes());
  EXPECT_TRUE(eventually([&] { return skeleton_->bss->no_exception_path > 0; }));
  show_tap(path_->tap_index(net::PortId{1}));  // to that port's address
  wan_->send(eth(testing::kLanMac).ip4(kClient4, "192.0.2.10", with_options()).tcp(1, 80).bytes());
  EXPECT_FALSE(lan_->next(kBackendMac).empty());
  ASSERT_TRUE(judged(1));
}

TEST_P(ExceptionWorld, AfterAKillTheTapIsGoneAndTheProgramKnows) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto path = ExceptionPath::start(options());
    const int index = path ? (*path)->tap_index(net::PortId{0}) : 0;
    (void)!write(ready[1], &index, sizeof index);
    while (true) pause();
  }
  int index = 0;
  ASSERT_EQ(read(ready[0], &index, sizeof index), static_cast<ssize_t>(sizeof index));
  ASSERT_GT(index, 0);
  attach();
  show_tap(index);
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(eventually([] { return if_nametoindex("lbx-wan0") == 0; }));
  wan_->send(to_web(40000).bytes());
  EXPECT_TRUE(eventually([&] { return skeleton_->bss->no_exception_path > 0; }));
  close(ready[0]);
  close(ready[1]);
}

TEST_P(ExceptionWorld, ATakenNameIsRefusedWithASentence) {
  start();
  const auto second = ExceptionPath::start(options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, net::Code::kExists);
  EXPECT_NE(second.error().message.find("ip link del lbx-wan0"), std::string::npos) << second.error().message;
  auto missing = options();
  missing.ports[1].ifname = "nosuch0";
  const auto third = ExceptionPath::start(missing);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, net::Code::kNotFound);
}

TEST(TapName, HasRoomForEveryInterface) {
  EXPECT_EQ(tap_name("eth0", 2), "lbx-eth0");
  EXPECT_EQ(tap_name("enp129s0f0x", 3), "lbx-enp129s0f0x");
  EXPECT_EQ(tap_name("enp129s0f0np", 3), "lbx-i3");
  EXPECT_EQ(tap_name("enp129s0f0np0v1", 2147483647), "lbx-i2147483647");
}

}  // namespace
}  // namespace lb::xdp
