// lbd-vip against the running kernel, in a network namespace of the test's own; the holder is this executable.
#include "ctl/vip_device.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include "ctl/log.h"
#include "ctl/vip_holder.h"
#include "tests/unit/ctl/fakes.h"

namespace lb::ctl {
namespace {

net::Address ip(const std::string& text) {
  return net::Address::parse(text).value();
}

bool run(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

bool await(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool there_is_a_device() {
  return run("ip link show lbd-vip");
}

bool has_route(const std::string& address) {
  const char* family = address.find(':') == std::string::npos ? "-4" : "-6";
  return run(std::string("test -n \"$(ip ") + family + " route show " + address +
             " proto 201 dev lbd-vip table main)\"");
}

std::vector<pid_t> children() {
  std::ifstream file("/proc/thread-self/children");
  return {std::istream_iterator<pid_t>(file), {}};
}

class VipDeviceTest : public testing::Test {
 protected:
  VipDeviceTest() : before_(set_log_sink([this](LogLevel, const std::string& line) { logged_ += line + '\n'; })) {}
  ~VipDeviceTest() override { set_log_sink(before_); }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "network namespaces cannot be made here";
    ASSERT_TRUE(run("ip link set lo up"));
    device_ = open();
  }
  std::unique_ptr<VipDevice> open(bool held = false) {
    return open_vip_device(io_, {.path = dir_ / "vip.sock", .socket = forwards_, .wanted = held});
  }

  std::string logged_;
  LogSink before_;
  TempDir dir_;
  const std::string forwards_ = dir_ / "forwards";  // while this file is there, the holder's programs forward
  boost::asio::io_context io_{1};
  std::unique_ptr<VipDevice> device_;
  const net::Address four_ = ip("192.0.2.10"), other_ = ip("192.0.2.11"), six_ = ip("2001:db8::10");
};

TEST_F(VipDeviceTest, RoutesAreWhatIsWantedAndGoWithTheDevice) {
  EXPECT_FALSE(there_is_a_device()) << "not before something is announced";
  EXPECT_TRUE(device_->announce({four_, six_}).empty());
  EXPECT_TRUE(has_route("192.0.2.10") && has_route("2001:db8::10"));
  EXPECT_TRUE(device_->is_whole());
  EXPECT_TRUE(device_->announce({four_, other_}).empty());
  EXPECT_TRUE(has_route("192.0.2.10") && has_route("192.0.2.11") && !has_route("2001:db8::10"));
  EXPECT_TRUE(device_->announce({}).empty());
  EXPECT_TRUE(there_is_a_device());
  EXPECT_FALSE(has_route("192.0.2.10"));
  EXPECT_TRUE(run("test -z \"$(ip address show dev lbd-vip | grep inet)\"")) << "it has no address";
  device_->close();
  EXPECT_FALSE(there_is_a_device());
  EXPECT_TRUE(device_->announce({four_}).empty());
  EXPECT_TRUE(has_route("192.0.2.10"));
}

TEST_F(VipDeviceTest, ManyMoreThanOneMessageHolds) {
  std::set<net::Address> many;
  for (int i = 0; i < 1000; i++) many.insert(ip("10.99." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
  EXPECT_TRUE(device_->announce(many).empty());
  EXPECT_TRUE(run("test $(ip route show proto 201 | wc -l) = 1000"));
  EXPECT_TRUE(device_->announce({four_}).empty());
  EXPECT_TRUE(run("test $(ip route show proto 201 | wc -l) = 1"));
}

TEST_F(VipDeviceTest, SomebodyElsesRouteIsLeftAloneAndTold) {
  ASSERT_TRUE(run("ip route add blackhole 192.0.2.10/32 && ip -6 route add blackhole 2001:db8::10/128"));
  const auto failed = device_->announce({four_, other_, six_});
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_NE(failed.at(six_).find("ip -6 route show 2001:db8::10/128"), std::string::npos) << failed.at(six_);
  EXPECT_NE(failed.at(four_).find("another route to 192.0.2.10/32, which is not lbd's"), std::string::npos)
      << failed.at(four_);
  EXPECT_TRUE(has_route("192.0.2.11"));
  EXPECT_TRUE(run("ip route show 192.0.2.10/32 | grep blackhole"));
  ASSERT_TRUE(run("ip route del blackhole 192.0.2.10/32"));
  EXPECT_FALSE(device_->announce({four_, other_, six_}).contains(four_));
  EXPECT_TRUE(has_route("192.0.2.10"));
}

TEST_F(VipDeviceTest, WhatWasTakenAwayIsMadeAnew) {
  ASSERT_TRUE(device_->announce({four_}).empty());
  ASSERT_TRUE(run("ip link set lbd-vip down"));
  EXPECT_FALSE(device_->is_whole());
  EXPECT_TRUE(device_->announce({four_}).empty());
  EXPECT_TRUE(device_->is_whole() && has_route("192.0.2.10"));
  ASSERT_TRUE(run("ip link del lbd-vip"));
  EXPECT_FALSE(device_->is_whole());
  EXPECT_TRUE(device_->announce({four_}).empty());
  EXPECT_TRUE(device_->is_whole() && has_route("192.0.2.10"));
}

// Each look asks for one route: who has three sees within three that one is gone.
TEST_F(VipDeviceTest, ARouteThatSomebodyRemovedComesBack) {
  for (const std::string address : {"192.0.2.10", "192.0.2.11", "2001:db8::10"}) {
    const std::set wanted = {four_, other_, six_};
    ASSERT_TRUE(device_->announce(wanted).empty());
    for (int look = 0; look < 6; look++) EXPECT_TRUE(device_->is_whole());
    ASSERT_TRUE(run("ip route del " + address + (address == "2001:db8::10" ? "/128" : "/32") + " dev lbd-vip"));
    int looks = 0;
    while (device_->is_whole() && looks < 3) looks++;
    EXPECT_LT(looks, 3) << address;
    EXPECT_TRUE(device_->announce(wanted).empty());
    EXPECT_TRUE(has_route(address)) << address;
  }
  ASSERT_TRUE(run("ip route add default dev lo && ip link set lbd-vip down && ip link set lbd-vip up"));
  EXPECT_FALSE(has_route("192.0.2.10"));
  EXPECT_FALSE(device_->is_whole()) << "though a default route has the address";
  EXPECT_TRUE(device_->announce({four_, six_}).empty());
  EXPECT_TRUE(has_route("192.0.2.10"));
  ASSERT_TRUE(run("ip address add 192.0.2.10/32 dev lo"));
  EXPECT_TRUE(device_->is_whole()) << "the host's own address hides ours, which is there";
}

TEST_F(VipDeviceTest, ASecondOneInTheNamespaceIsTold) {
  ASSERT_TRUE(device_->announce({four_}).empty());
  const auto second = open_vip_device(io_, {.path = dir_ / "other.sock", .socket = "", .wanted = false});
  const auto failed = second->announce({other_});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_NE(failed.at(other_).find("there is an interface lbd-vip already"), std::string::npos) << failed.at(other_);
  EXPECT_TRUE(has_route("192.0.2.10"));
}

TEST_F(VipDeviceTest, PacketsOfThisHostAreCountedAndDropped) {
  ASSERT_TRUE(device_->announce({four_}).empty());
  run("ping -c 700 -f -W 1 -w 1 192.0.2.10");  // more than the device's queue holds
  io_.poll();
  const uint64_t first = device_->dropped();
  EXPECT_GT(first, 0u);
  run("ping -c 1 -W 1 -w 1 192.0.2.10");
  EXPECT_TRUE(await([&] {
    io_.poll();
    return device_->dropped() > first;
  })) << "it does not clog";
}

// A process that announces with a holder and is killed. RETURNS: when its routes are there.
pid_t announce_and_die(const std::function<std::unique_ptr<VipDevice>()>& open, const net::Address& vip) {
  const pid_t child = fork();
  if (child != 0) {
    EXPECT_TRUE(await([&] { return has_route(vip.to_string()); }));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    return child;
  }
  const auto device = open();
  if (!device->announce({vip}).empty()) _exit(1);
  while (true) pause();
}

TEST_F(VipDeviceTest, AKilledProcessTakesItsRoutesAlong) {
  announce_and_die([this] { return open(); }, four_);
  EXPECT_FALSE(there_is_a_device()) << "the kernel removed it";
}

TEST_F(VipDeviceTest, AHolderKeepsThemAsLongAsProgramsForward) {
  spill(forwards_, "");
  announce_and_die([this] { return open(true); }, four_);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));  // it has looked more than once
  EXPECT_TRUE(has_route("192.0.2.10"));
  run("ping -c 5 -i 0.01 -W 1 -w 1 192.0.2.10");
  EXPECT_TRUE(has_route("192.0.2.10")) << "it drops what the host sends";
  std::filesystem::remove(forwards_);
  EXPECT_TRUE(await([] { return !there_is_a_device(); }));
  EXPECT_TRUE(await([this] { return !std::filesystem::exists(dir_ / "vip.sock"); }));
}

TEST_F(VipDeviceTest, TheNextOneTakesOverWithoutAGapAndRemovesWhatItDoesNotWant) {
  spill(forwards_, "");
  announce_and_die([this] { return open(true); }, four_);
  const auto next = open(true);
  EXPECT_NE(logged_.find("event=announcement_taken_over"), std::string::npos) << logged_;
  EXPECT_TRUE(has_route("192.0.2.10"));
  EXPECT_TRUE(next->announce({other_}).empty());
  EXPECT_TRUE(has_route("192.0.2.11"));
  EXPECT_FALSE(has_route("192.0.2.10")) << "of the dead one, not wanted any more";
  EXPECT_TRUE(next->is_whole()) << "with a holder of its own";
  next->close();
  EXPECT_TRUE(await([] { return !there_is_a_device(); })) << "its holder ended";
}

TEST_F(VipDeviceTest, WhoTakesOverAndAnnouncesNothingEndsIt) {
  spill(forwards_, "");
  announce_and_die([this] { return open(true); }, four_);
  const auto next = open(true);
  next->close();
  // The dead one's holder has its descriptor until it has ended.
  EXPECT_TRUE(await([] { return !there_is_a_device(); }));
}

TEST_F(VipDeviceTest, AHolderThatDiedIsReplaced) {
  spill(forwards_, "");
  const auto device = open(true);
  ASSERT_TRUE(device->announce({four_}).empty());
  const std::vector<pid_t> holders = children();
  ASSERT_EQ(holders.size(), 1u);
  kill(holders.front(), SIGKILL);
  EXPECT_TRUE(await([&] { return !device->is_whole(); }));
  EXPECT_TRUE(device->announce({four_}).empty());
  EXPECT_TRUE(device->is_whole() && has_route("192.0.2.10"));
}

// Forwards as long as the file is there whose name stands in place of a socket's.
class OrphansByFile : public model::Orphans {
 public:
  net::Result<model::OrphanState> show(const std::string& socket) override {
    model::OrphanState state;
    state.forwards = access(socket.c_str(), F_OK) == 0;
    return state;
  }
  net::Result<model::OrphanState> detach(const std::string&, model::Force, model::Run) override { return net::Error{}; }
};

}  // namespace
}  // namespace lb::ctl

int main(int argc, char** argv) {
  lb::ctl::OrphansByFile orphans;
  if (argc == 3 && std::string(argv[1]) == lb::ctl::kHoldOption) return lb::ctl::hold_announcement(argv[2], orphans);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
