// Which addresses are wanted, by every reason against it; and that what is announced follows what is published.
#include "ctl/announcer.h"

#include <gtest/gtest.h>

#include "ctl/log.h"
#include "tests/unit/ctl/fakes.h"
#include "tests/unit/ctl/test_config.h"

namespace lb::ctl {
namespace {

// web and mail share .10; web alone has the IPv6 address; quiet announces nothing.
constexpr char kAnnouncing[] = R"(version: 1
daemon: {dpdk: {workers: [2], ports: [{name: wan, device: eth0}]}}
pools:
  fe: {backends: [{name: fe11, address: 10.0.0.11}, {name: fe12, address: "2001:db8:1::12"}]}
  be: {backends: [{name: be1, address: 10.0.1.1}]}
services:
  web: {listen: ["192.0.2.10:80/tcp", "192.0.2.10:443/tcp", "[2001:db8::10]:80/tcp"], pool: fe, announce: on}
  mail: {listen: ["192.0.2.10:25/tcp"], pool: be, announce: on}
  quiet: {listen: ["192.0.2.99:80/tcp"], pool: be}
)";

net::Address ip(const std::string& text) {
  return net::Address::parse(text).value();
}

TEST(JudgeVips, AnAddressIsWantedWhileOneOfItsServicesTakesNewFlows) {
  const model::Config config = test_config(kAnnouncing);
  std::set<std::string> takes = {"web", "mail"};
  model::Overlay overlay;
  const auto judged = [&] {
    return judge_vips(config, overlay, [&](const model::Service& s, net::Family) { return takes.contains(s.name); });
  };
  const net::Address four = ip("192.0.2.10"), six = ip("2001:db8::10");
  Vips vips = judged();
  ASSERT_EQ(vips.size(), 2u) << "what does not announce is not listed";
  EXPECT_EQ(vips[four].services, (std::vector<std::string>{"mail", "web"}));
  EXPECT_EQ(vips[six].services, std::vector<std::string>{"web"});
  EXPECT_TRUE(vips[four].wanted && vips[six].wanted && vips[four].why.empty());

  takes = {"mail"};
  vips = judged();
  EXPECT_TRUE(vips[four].wanted) << "mail takes flows there";
  EXPECT_EQ(vips[four].why, "");
  EXPECT_FALSE(vips[six].wanted);
  EXPECT_EQ(vips[six].why, "service web has no eligible backend in pool fe");

  overlay.withdrawn["mail"] = {};
  vips = judged();
  EXPECT_FALSE(vips[four].wanted);
  EXPECT_EQ(vips[four].why, "service mail is withdrawn; service web has no eligible backend in pool fe");

  takes = {"web", "mail"};
  vips = judged();
  EXPECT_TRUE(vips[four].wanted) << "mail alone is withdrawn";

  overlay.node_drain.emplace();
  vips = judged();
  for (const auto& [address, vip] : vips) {
    EXPECT_FALSE(vip.wanted);
    EXPECT_EQ(vip.why, "the node is drained");
  }
}

TEST(JudgeVips, EachFamilyIsAskedForItself) {
  const model::Config config = test_config(kAnnouncing);
  const Vips vips =
      judge_vips(config, {}, [](const model::Service&, net::Family f) { return f == net::Family::kIpv4; });
  EXPECT_TRUE(vips.at(ip("192.0.2.10")).wanted);
  EXPECT_FALSE(vips.at(ip("2001:db8::10")).wanted);
}

class AnnouncerTest : public testing::Test {
 protected:
  AnnouncerTest() : before_(set_log_sink([this](LogLevel, const std::string& line) { logged_ += line + '\n'; })) {}
  ~AnnouncerTest() override { set_log_sink(before_); }
  void start(const std::string& text = kAnnouncing) {
    ASSERT_TRUE(store_.open());
    ASSERT_TRUE(control_.start(test_config(text), std::nullopt));
    announcer_.update();
    control_.on_publication([this] { announcer_.update(); });
  }
  void change(const model::Change& change) {
    ChangeOptions options;
    options.allow_below = {{"fe", 0}, {"be", 0}};
    options.allow_remove = 1;
    auto done = control_.change({change}, options);
    ASSERT_TRUE(done) << done.error().message;
  }

  std::string logged_;
  LogSink before_;
  TempDir dir_;
  FakeEngine engine_;
  FakeTopology topology_;
  StateStore store_{dir_.path()};
  Controller control_{engine_, topology_, store_, lb_hash_key{1, 2}};
  FakeVipDevice device_;
  Announcer announcer_{control_, device_};
  const net::Address four_ = ip("192.0.2.10"), six_ = ip("2001:db8::10");
};

TEST_F(AnnouncerTest, FollowsWhatIsPublished) {
  start();
  EXPECT_EQ(device_.routes, (std::set{four_, six_}));
  topology_.why[ip("10.0.0.11")] = topology_.why[ip("2001:db8:1::12")] = "no route";
  control_.topology_changed();
  EXPECT_EQ(device_.routes, std::set{four_}) << "mail still takes flows";
  EXPECT_NE(logged_.find("event=withdrawn vip=2001:db8::10"), std::string::npos) << logged_;
  topology_.why.clear();
  control_.topology_changed();
  EXPECT_EQ(device_.routes, (std::set{four_, six_}));
  change(model::SetService{.name = "web", .announce = model::Announce::kOff});
  EXPECT_EQ(device_.routes, std::set{four_});
  EXPECT_EQ(device_.closed, 0);
  change(model::RemoveService{"mail"});
  EXPECT_EQ(device_.closed, 1) << "nothing announces any more";
  EXPECT_TRUE(announcer_.vips().empty());
}

// Outer headers of either family carry both, dsr does not.
TEST_F(AnnouncerTest, ADsrServiceNeedsABackendOfTheAddressesFamily) {
  start();
  change(model::SetService{.name = "web", .forward = model::Forward::kDsr});
  EXPECT_EQ(device_.routes, (std::set{four_, six_}));
  topology_.why[ip("2001:db8:1::12")] = "no route";
  control_.topology_changed();
  EXPECT_EQ(device_.routes, std::set{four_});
}

TEST_F(AnnouncerTest, ARefusedChangeWithdrawsNothing) {
  start();
  engine_.refuse = true;
  ChangeOptions options;
  options.allow_below["fe"] = 0;
  EXPECT_FALSE(control_.drain({{"fe", "fe11"}, {"fe", "fe12"}}, std::nullopt, options));
  EXPECT_EQ(device_.routes, (std::set{four_, six_}));
  EXPECT_EQ(device_.calls, 1);
}

TEST_F(AnnouncerTest, WhatFailedIsToldAndTriedAgain) {
  device_.refusals[six_] = "the table is full";
  start();
  EXPECT_EQ(device_.routes, std::set{four_});
  const Vip& vip = announcer_.vips().at(six_);
  EXPECT_TRUE(vip.wanted);
  EXPECT_FALSE(vip.announced);
  EXPECT_EQ(vip.why, "the table is full");
  device_.refusals.clear();
  announcer_.tick();
  EXPECT_TRUE(announcer_.vips().at(six_).announced);
  const int calls = device_.calls;
  announcer_.tick();
  EXPECT_EQ(device_.calls, calls) << "all is well";
  device_.whole = false;
  announcer_.tick();
  EXPECT_EQ(device_.calls, calls + 1) << "somebody took it away";
}

TEST_F(AnnouncerTest, ARouteThatStaysIsStillAnnounced) {
  start();
  device_.refusals[six_] = "the kernel keeps it";
  announcer_.withdraw_all();
  EXPECT_FALSE(announcer_.vips().at(four_).announced);
  EXPECT_TRUE(announcer_.vips().at(six_).announced);
  EXPECT_EQ(announcer_.vips().at(six_).why, "the kernel keeps it");
}

TEST_F(AnnouncerTest, TheEndWithdrawsEverythingForGood) {
  start();
  EXPECT_TRUE(announcer_.withdraw_all());
  EXPECT_TRUE(device_.routes.empty());
  EXPECT_EQ(announcer_.vips().at(four_).why, "lbd is stopping");
  EXPECT_FALSE(announcer_.withdraw_all()) << "nothing was announced";
  topology_.why[ip("10.0.0.11")] = "no route";
  control_.topology_changed();
  EXPECT_TRUE(device_.routes.empty()) << "publications go on";
}

TEST_F(AnnouncerTest, WithoutAnnouncingServicesNothingIsMade) {
  start(kDocument);
  EXPECT_EQ(device_.calls, 0);
  EXPECT_FALSE(announcer_.withdraw_all());
}

}  // namespace
}  // namespace lb::ctl
