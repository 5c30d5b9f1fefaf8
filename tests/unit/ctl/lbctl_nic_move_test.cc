// Moves of a NIC on a machine in memory: forth, back, and every way to be interrupted.
#include "ctl/nic_move.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/unit/ctl/nic_move_fixture.h"

namespace lb::ctl {
namespace {

using std::chrono::seconds;

TEST_F(NicMoveTest, TheTwinGetsWhatTheInterfaceHad) {
  const InterfaceState had = host_.interfaces().at("eth0");
  ASSERT_TRUE(bind());
  EXPECT_EQ(host_.nic().driver, "vfio-pci");
  EXPECT_EQ(host_.nic().driver_override, "vfio-pci");
  EXPECT_EQ(host_.interfaces().count("eth0"), 0u);
  const InterfaceState& twin = host_.interfaces().at(FakeHost::kTwin);
  EXPECT_EQ(twin.mac, had.mac);
  EXPECT_EQ(twin.mtu, had.mtu);
  EXPECT_TRUE(twin.up);
  EXPECT_EQ(twin.addresses, had.addresses);
  EXPECT_EQ(twin.routes, had.routes);
  EXPECT_TRUE(saved()->complete);
}

TEST_F(NicMoveTest, TheWayBackLeavesNothing) {
  bound();
  ASSERT_TRUE(unbind());
  EXPECT_EQ(host_.picture(), before_);
  EXPECT_EQ(saved(), std::nullopt);
}

TEST_F(NicMoveTest, AnInterfaceThatComesLateAndUnderAnotherNameIsWaitedForAndRenamed) {
  host_.appear_delay = seconds(4);
  host_.fresh_name = "eth7";
  bound();
  ASSERT_TRUE(unbind());
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(NicMoveTest, AnotherNicThatGotTheNameMeanwhileIsLeftAlone) {
  bound();
  InterfaceState other;
  other.name = "eth0";
  other.mac = FakeHost::mac("02:00:00:00:00:55");
  host_.interfaces()["eth0"] = other;
  host_.fresh_name = "eth7";
  const std::string moved = host_.picture();
  const auto failed = unbind();
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("name eth0: File exists"), std::string::npos) << failed.error().message;
  EXPECT_EQ(host_.picture(), moved);
  const auto reverted = move_.revert(*saved());
  ASSERT_FALSE(reverted);
  EXPECT_NE(reverted.error().message.find("eth0 is no interface of 0000:3b:00.0"), std::string::npos)
      << reverted.error().message;
  EXPECT_EQ(host_.interfaces().at("eth0").mac, other.mac);
  EXPECT_TRUE(host_.interfaces().at("eth0").addresses.empty());
  ASSERT_TRUE(saved());
  host_.interfaces().erase("eth0");
  ASSERT_TRUE(move_.revert(*saved()));
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(NicMoveTest, AnInterfaceThatNeverComesIsAFailureAndUndone) {
  const std::string moved = bound();
  host_.appear_delay = seconds(600);
  const auto failed = unbind();
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("i40e made no interface"), std::string::npos) << failed.error().message;
  EXPECT_EQ(host_.picture(), moved);
}

TEST_F(NicMoveTest, ANicThatWasDownIsDownAgain) {
  host_.interfaces().at("eth0").up = false;
  host_.interfaces().at("eth0").routes.clear();
  const std::string before = host_.picture();
  bound();
  EXPECT_FALSE(host_.interfaces().at(FakeHost::kTwin).up);
  ASSERT_TRUE(unbind());
  EXPECT_EQ(host_.picture(), before);
}

TEST_F(NicMoveTest, ANicWithoutADriverOrWithAnOverrideGetsThatBack) {
  host_.nic().driver = "";
  host_.nic().interfaces.clear();
  host_.interfaces().clear();
  const std::string before = host_.picture();
  ASSERT_TRUE(move_.bind(NicMove::record_of(find_nic(host_, FakeHost::kPci).value(), "wan")));
  EXPECT_EQ(host_.nic().driver, "vfio-pci");
  EXPECT_TRUE(host_.interfaces().empty()) << "there is nothing to carry over";
  ASSERT_TRUE(unbind());
  EXPECT_EQ(host_.picture(), before);
}

TEST_F(NicMoveTest, WhatCameToTheTwinMeanwhileIsCarriedBack) {
  bound();
  host_.interfaces().at(FakeHost::kTwin).addresses.push_back(FakeHost::item("203.0.113.9/32"));
  host_.interfaces().at(FakeHost::kTwin).routes.push_back(FakeHost::item("10.0.0.0/8 via 203.0.113.1"));
  ASSERT_TRUE(unbind());
  EXPECT_EQ(host_.interfaces().at("eth0").addresses.back().text, "203.0.113.9/32");
  EXPECT_EQ(host_.interfaces().at("eth0").routes.back().text, "10.0.0.0/8 via 203.0.113.1");
}

TEST_F(NicMoveTest, WhatWasTakenFromTheTwinDoesNotComeBack) {
  bound();
  InterfaceState& twin = host_.interfaces().at(FakeHost::kTwin);
  twin.addresses.pop_back();
  twin.routes.erase(twin.routes.begin());
  ASSERT_TRUE(unbind());
  const InterfaceState& eth0 = host_.interfaces().at("eth0");
  ASSERT_EQ(eth0.addresses.size(), 1u);
  EXPECT_EQ(eth0.addresses[0].text, "203.0.113.2/24");
  ASSERT_EQ(eth0.routes.size(), 1u);
  EXPECT_EQ(eth0.routes[0].text, "192.0.2.0/24 via 203.0.113.1");
}

TEST_F(NicMoveTest, ATwinThatIsDownOrUnfinishedDoesNotSayWhatThereIs) {
  for (const bool complete : {true, false}) {
    bound();
    NicRecord record = *saved();
    record.complete = complete;
    ASSERT_TRUE(records_.save(record));
    host_.interfaces().at(FakeHost::kTwin).up = !complete;
    host_.interfaces().at(FakeHost::kTwin).routes.clear();
    ASSERT_TRUE(unbind());
    EXPECT_EQ(host_.picture(), before_) << complete;
  }
}

TEST_F(NicMoveTest, ATwinThatCannotBeReadIsNotTakenForNone) {
  const std::string moved = bound();
  host_.restless = net::Error{net::Code::kUnavailable, "interfaces changed all the time"};
  const auto refused = unbind();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, host_.restless->message);
  EXPECT_EQ(host_.picture(), moved);
  EXPECT_TRUE(saved()->complete);
}

TEST(NicMoveFaults, WhateverStepOfBindFailsEverythingIsAsBefore) {
  for (const auto fault : {FakeHost::Fault::kBefore, FakeHost::Fault::kAfter}) {
    size_t failed = 0;
    for (size_t n = 0;; n++) {
      TempDir dir;
      FakeHost host;
      NicRecords records(dir.file("ports"));
      const std::string before = host.picture();
      host.fail(n, fault);
      const auto moved = NicMove(host, records).bind(NicMove::record_of(find_nic(host, "eth0").value(), "wan"));
      if (moved) break;
      failed++;
      EXPECT_EQ(host.picture(), before) << "step " << n;
      EXPECT_FALSE(records.find(FakeHost::kPci).value()) << "step " << n;
      EXPECT_NE(moved.error().message.find("the kernel said no; everything is as it was before"), std::string::npos)
          << moved.error().message;
    }
    EXPECT_EQ(failed, 9u) << "override, unbind, bind, twin, link, two addresses, two routes";
  }
}

TEST(NicMoveFaults, WhateverStepOfUnbindFailsTheNicIsStillMoved) {
  for (const auto fault : {FakeHost::Fault::kBefore, FakeHost::Fault::kAfter}) {
    size_t failed = 0;
    for (size_t n = 0;; n++) {
      TempDir dir;
      FakeHost host;
      NicRecords records(dir.file("ports"));
      NicMove move(host, records);
      const std::string before = host.picture();
      ASSERT_TRUE(move.bind(NicMove::record_of(find_nic(host, "eth0").value(), "wan")));
      const std::string moved = host.picture();
      host.fail(n, fault);
      const auto back = move.unbind(*records.find(FakeHost::kPci).value(), {});
      host.work();
      if (back) break;
      failed++;
      EXPECT_EQ(host.picture(), moved) << "step " << n;
      ASSERT_TRUE(records.find(FakeHost::kPci).value()) << "step " << n;
      ASSERT_TRUE(move.unbind(*records.find(FakeHost::kPci).value(), {}));
      EXPECT_EQ(host.picture(), before) << "step " << n;
    }
    EXPECT_EQ(failed, 9u);
  }
}

TEST(NicMoveFaults, WhereLbctlIsKilledTheRecordBringsEverythingBack) {
  size_t killed = 0;
  for (size_t n = 0;; n++) {
    TempDir dir;
    FakeHost host;
    NicRecords records(dir.file("ports"));
    NicMove move(host, records);
    const std::string before = host.picture();
    host.fail(n, FakeHost::Fault::kKilled);
    bool done = false;
    try {
      ASSERT_TRUE(move.bind(NicMove::record_of(find_nic(host, "eth0").value(), "wan")));
      ASSERT_TRUE(move.unbind(*records.find(FakeHost::kPci).value(), {}));
      done = true;
    } catch (const Killed&) {
      killed++;
    }
    host.work();
    if (done) break;
    // Killed before the first step was done, or anywhere up to the last one of the way back.
    const auto record = records.find(FakeHost::kPci).value();
    ASSERT_TRUE(record) << "step " << n;
    EXPECT_TRUE(NicMove(host, records).unbind(*record, {}));
    EXPECT_EQ(host.picture(), before) << "step " << n;
  }
  EXPECT_EQ(killed, 18u);
}

TEST_F(NicMoveTest, WhereUndoingFailsTooTheSentenceSaysWhatIsLeftAndTheRecordStays) {
  host_.fail_all_from(4);  // setting the twin's MAC, and whatever follows
  const auto failed = bind();
  ASSERT_FALSE(failed);
  for (const char* words :
       {"could not set lbd-wan: MAC", "undoing that failed too: could not remove lbd-wan",
        "still to do: remove lbd-wan", "give 0000:3b:00.0 to i40e", "`lbctl port unbind 0000:3b:00.0` tries again"})
    EXPECT_NE(failed.error().message.find(words), std::string::npos) << failed.error().message;
  ASSERT_TRUE(saved());
  EXPECT_FALSE(saved()->complete);
  host_.work();
  ASSERT_TRUE(unbind());
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(NicMoveTest, NothingIsChangedWithoutARecord) {
  std::ofstream(dir_.file("ports")) << "a file where the folder should be";
  EXPECT_FALSE(bind());
  EXPECT_EQ(host_.steps(), 0u);
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(NicMoveTest, RevertStopsWhoeverHasTheNicAndGoesOnAfterAFailure) {
  bound();
  host_.processes = {{4711, "lbd"}};
  host_.fail(1, FakeHost::Fault::kBefore);  // removing the twin
  const auto failed = move_.revert(*saved());
  ASSERT_FALSE(failed);
  EXPECT_TRUE(host_.processes.empty());
  EXPECT_EQ(host_.nic().driver, "i40e");
  EXPECT_EQ(host_.interfaces().at("eth0").addresses.size(), 2u);
  ASSERT_TRUE(saved());
  host_.work();
  ASSERT_TRUE(move_.revert(*saved()));
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(NicMoveTest, ARouteThatIsRefusedKeepsNoneOfTheOthersBack) {
  bound();
  host_.refused = "198.51.100.0/24";  // the first one
  const auto failed = move_.revert(*saved());
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("could not give eth0 the routes"), std::string::npos) << failed.error().message;
  EXPECT_NE(failed.error().message.find("198.51.100.0/24 is refused"), std::string::npos) << failed.error().message;
  ASSERT_EQ(host_.interfaces().at("eth0").routes.size(), 1u);
  EXPECT_EQ(host_.interfaces().at("eth0").routes[0].text, "192.0.2.0/24 via 203.0.113.1");
  EXPECT_TRUE(saved());
}

TEST_F(NicMoveTest, ABindOfWhichARouteIsRefusedIsUndone) {
  host_.refused_of_twin = "198.51.100.0/24";
  const auto failed = bind();
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("everything is as it was before"), std::string::npos) << failed.error().message;
  EXPECT_EQ(host_.picture(), before_);
}

}  // namespace
}  // namespace lb::ctl
