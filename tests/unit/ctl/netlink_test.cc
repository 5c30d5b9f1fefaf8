// Against the running kernel, in network namespaces of the test's own: one for control, one behind a veth pair.
#include "ctl/netlink.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <string>

#include "ctl/log.h"
#include "tests/unit/ctl/fakes.h"

namespace lb::ctl {
namespace {

net::Address address(const std::string& text) {
  return net::Address::parse(text).value();
}

bool run(const std::string& command) {
  return std::system((command + " 2>/dev/null").c_str()) == 0;
}

// A process that only holds a network namespace.
pid_t hold_namespace() {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool made = unshare(CLONE_NEWNET) == 0;
    if (write(ready[1], made ? "y" : "n", 1) != 1) _exit(1);
    while (true) pause();
  }
  char answer = 'n';
  if (child > 0 && read(ready[0], &answer, 1) != 1) answer = 'n';
  close(ready[0]);
  close(ready[1]);
  return answer == 'y' ? child : -1;
}

class NetlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "network namespaces cannot be made here";
    peer_ = hold_namespace();
    ASSERT_GT(peer_, 0);
    ASSERT_TRUE(run("ip link set lo up"));
    ASSERT_TRUE(run("ip link add lan type veth peer name far netns " + std::to_string(peer_)));
    ASSERT_TRUE(run("ip addr add 10.7.0.1/24 dev lan && ip addr add 2001:db8:7::1/64 dev lan nodad"));
    ASSERT_TRUE(run("ip link set lan up"));
    ASSERT_TRUE(in_peer("ip addr add 10.7.0.11/24 dev far"));
    ASSERT_TRUE(in_peer("ip addr add 10.7.0.254/24 dev far"));
    ASSERT_TRUE(in_peer("ip addr add 2001:db8:7::11/64 dev far nodad"));
    ASSERT_TRUE(in_peer("ip link set far up"));
    auto opened = open_netlink(io_, {{"lan", net::PortId{0}, 1500}});
    ASSERT_TRUE(opened) << opened.error().message;
    source_ = std::move(*opened);
  }
  void TearDown() override {
    source_.reset();
    if (peer_ > 0) {
      kill(peer_, SIGKILL);
      waitpid(peer_, nullptr, 0);
    }
  }
  bool in_peer(const std::string& command) { return run("nsenter -t " + std::to_string(peer_) + " -n " + command); }
  model::Reach reach(const std::string& text) {
    auto topology = source_->resolve({address(text)});
    EXPECT_TRUE(topology) << topology.error().message;
    return topology->reach.at(address(text));
  }
  // Runs the loop until the reach is as wanted; the deadline is far beyond the kernel's three probes a second apart.
  testing::AssertionResult becomes(const std::string& text, bool resolved, const std::string& why = "") {
    model::Reach last;
    const auto fits = [&] {
      last = reach(text);
      return last.resolved == resolved && last.why.find(why) != std::string::npos;
    };
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!fits()) {
      if (std::chrono::steady_clock::now() > deadline) {
        return testing::AssertionFailure() << text << " stayed at resolved " << last.resolved << " " << last.why;
      }
      io_.run_one_for(std::chrono::milliseconds(200));
    }
    return testing::AssertionSuccess();
  }

  boost::asio::io_context io_{1};
  std::unique_ptr<TopologySource> source_;
  pid_t peer_ = -1;
};

TEST_F(NetlinkTest, ResolvesWhatIsFollowed) {
  int changes = 0;
  source_->on_change([&] { changes++; });
  const std::set<net::Address> backends = {address("10.7.0.11"), address("2001:db8:7::11")};
  EXPECT_FALSE(reach("10.7.0.11").resolved);
  source_->follow(backends);
  EXPECT_TRUE(becomes("10.7.0.11", true));
  EXPECT_TRUE(becomes("2001:db8:7::11", true));
  EXPECT_GT(changes, 0);
  const model::Reach r = reach("10.7.0.11");
  EXPECT_TRUE(r.on_link);
  EXPECT_EQ(r.source, address("10.7.0.1"));
  EXPECT_EQ(r.mtu, 1500);
  EXPECT_NE(r.dst_mac, net::Mac());
  EXPECT_NE(r.src_mac, r.dst_mac);
  EXPECT_EQ(reach("2001:db8:7::11").source, address("2001:db8:7::1"));
}

TEST_F(NetlinkTest, FollowsRoutesThatComeAndGo) {
  source_->on_change([] {});
  source_->follow({address("10.8.0.1"), address("10.7.0.254")});
  EXPECT_EQ(reach("10.8.0.1").why, "no route to 10.8.0.1");
  ASSERT_TRUE(run("ip route add 10.8.0.0/16 via 10.7.0.254 mtu 1300"));
  source_->follow({address("10.8.0.1"), address("10.7.0.254")});
  EXPECT_TRUE(becomes("10.8.0.1", true));
  EXPECT_EQ(reach("10.8.0.1").next_hop, address("10.7.0.254"));
  EXPECT_FALSE(reach("10.8.0.1").on_link);
  EXPECT_EQ(reach("10.8.0.1").mtu, 1300);
  ASSERT_TRUE(run("ip route add blackhole 10.8.0.1/32"));
  EXPECT_TRUE(becomes("10.8.0.1", false, "blackhole"));
  ASSERT_TRUE(run("ip route del blackhole 10.8.0.1/32 && ip route del 10.8.0.0/16"));
  EXPECT_TRUE(becomes("10.8.0.1", false, "no route"));
}

TEST_F(NetlinkTest, TellsOfSilentNeighboursOwnAddressesAndForeignInterfaces) {
  source_->on_change([] {});
  source_->follow({address("10.7.0.99")});
  EXPECT_TRUE(becomes("10.7.0.99", false, "neighbour 10.7.0.99 on lan does not answer"));
  EXPECT_EQ(reach("10.7.0.1").why, "10.7.0.1 is an address of this host");
  ASSERT_TRUE(run("ip link add other type veth peer name other2 && ip addr add 10.9.0.1/24 dev other"));
  ASSERT_TRUE(run("ip link set other up && ip link set other2 up"));
  EXPECT_TRUE(becomes("10.9.0.2", false, "leaves by other, which is no port of lbd (lan) nor a VLAN of one"));
  EXPECT_TRUE(source_->resolve({})->kernel_addresses.contains(address("10.9.0.1")));
  ASSERT_TRUE(run("ip addr del 10.9.0.1/24 dev other"));
  EXPECT_FALSE(source_->resolve({})->kernel_addresses.contains(address("10.9.0.1")));
}

TEST_F(NetlinkTest, FollowsLinksAndNeighbours) {
  source_->on_change([] {});
  source_->follow({address("10.7.0.11")});
  EXPECT_TRUE(becomes("10.7.0.11", true));
  const net::Mac before = reach("10.7.0.11").dst_mac;
  ASSERT_TRUE(run("ip neigh replace 10.7.0.11 lladdr 02:11:22:33:44:55 dev lan nud reachable"));
  EXPECT_EQ(reach("10.7.0.11").dst_mac.to_string(), "02:11:22:33:44:55");
  ASSERT_TRUE(run("ip neigh del 10.7.0.11 dev lan"));
  EXPECT_TRUE(becomes("10.7.0.11", true));
  EXPECT_EQ(reach("10.7.0.11").dst_mac, before) << "asked again by us";
  ASSERT_TRUE(run("ip link set lan down"));
  EXPECT_TRUE(becomes("10.7.0.11", false));
  ASSERT_TRUE(run("ip link set lan mtu 1400 up"));
  EXPECT_TRUE(becomes("10.7.0.11", true));
  EXPECT_EQ(reach("10.7.0.11").mtu, 1400);
}

// More events than the socket's buffer holds, while nobody reads: everything is asked for anew.
TEST_F(NetlinkTest, LostEventsAreMadeUpFor) {
  source_->on_change([] {});
  source_->follow({address("10.9.0.1")});
  EXPECT_EQ(reach("10.9.0.1").why, "no route to 10.9.0.1");
  std::string logged;
  LogSink before = set_log_sink([&](LogLevel, const std::string& line) { logged += line + '\n'; });
  TempDir dir;
  std::string batch;
  for (int i = 0; i < 30000; i++) {
    batch += "route add 10." + std::to_string(100 + i / 65536) + '.' + std::to_string(i / 256 % 256) + '.' +
             std::to_string(i % 256) + "/32 via 10.7.0.254\n";
  }
  spill(dir / "batch", batch + "route add 10.9.0.0/16 via 10.7.0.254\naddr add 10.7.0.2/24 dev lan\n");
  ASSERT_TRUE(run("ip -batch " + (dir / "batch")));
  EXPECT_EQ(reach("10.9.0.1").why, "neighbour 10.7.0.254 on lan is not resolved yet");
  EXPECT_TRUE(source_->resolve({})->kernel_addresses.contains(address("10.7.0.2")));
  set_log_sink(before);
  EXPECT_NE(logged.find("event=kernel_events_lost"), std::string::npos) << "the test must really lose some";
}

TEST_F(NetlinkTest, AsksTwentyThousandRoutesInPipelines) {
  std::set<net::Address> many;
  for (int i = 0; i < 20000; i++) {
    many.insert(address("10." + std::to_string(100 + i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                        std::to_string(i % 256)));
  }
  ASSERT_TRUE(run("ip route add 10.100.0.0/16 via 10.7.0.254"));
  const auto begin = std::chrono::steady_clock::now();
  auto topology = source_->resolve(many);
  const auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(topology) << topology.error().message;
  EXPECT_EQ(topology->reach.size(), many.size());
  for (const auto& [backend, r] : topology->reach) {
    ASSERT_EQ(r.why, "neighbour 10.7.0.254 on lan is not resolved yet") << backend.to_string();
  }
  RecordProperty("milliseconds", static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
}

}  // namespace
}  // namespace lb::ctl
