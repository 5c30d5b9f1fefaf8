// Moves of a NIC on a machine in memory: forth, back, and every way to be interrupted.
#include "ctl/nic_move.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ctl/nic_host.h"
#include "ctl/nic_trial.h"
#include "tests/unit/ctl/fake_nic_host.h"
#include "tests/unit/ctl/lbctl_fake_daemon.h"

namespace lb::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class NicMoveTest : public testing::Test {
 protected:
  NicRecord record_now() { return NicMove::record_of(find_nic(host_, "eth0").value(), "wan"); }
  net::Status bind() { return move_.bind(record_now()); }
  net::Status unbind(const Forced& forced = {}) { return move_.unbind(saved().value(), forced); }
  std::optional<NicRecord> saved() { return records_.find(FakeHost::kPci).value(); }
  // A machine with the NIC moved.
  std::string bound() {
    EXPECT_TRUE(bind());
    return host_.picture();
  }

  TempDir dir_;
  FakeHost host_;
  NicRecords records_{dir_.file("ports")};
  NicMove move_{host_, records_};
  const std::string before_ = host_.picture();
};

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

class TrialTest : public NicMoveTest {
 protected:
  void bind_for(milliseconds time) {
    NicRecord record = record_now();
    record.confirm_by_ms = (host_.now() + time).count();
    ASSERT_TRUE(move_.bind(record));
  }
  net::Result<bool> watch() {
    return watch_trial(host_, records_, FakeHost::kPci, [this](const std::string& line) { told_ += line + "\n"; });
  }
  std::string told_;
};

TEST_F(TrialTest, IsUndoneWhenItsTimeIsOver) {
  bind_for(seconds(120));
  const auto start = host_.now();
  EXPECT_TRUE(watch().value());
  EXPECT_EQ(host_.now() - start, seconds(120));
  EXPECT_EQ(host_.picture(), before_);
  EXPECT_EQ(saved(), std::nullopt);
}

TEST_F(TrialTest, StaysWhenConfirmed) {
  bind_for(seconds(120));
  const std::string moved = host_.picture();
  host_.while_asleep = [&, left = 50]() mutable {
    if (--left == 0) {
      EXPECT_TRUE(confirm_trial(records_, ""));
    }
  };
  EXPECT_FALSE(watch().value());
  EXPECT_EQ(host_.picture(), moved);
  EXPECT_EQ(saved()->confirm_by_ms, std::nullopt);
  EXPECT_LT(host_.now(), seconds(60));
}

TEST_F(TrialTest, EndsWhenTheNicWasTakenBack) {
  bind_for(seconds(120));
  host_.while_asleep = [&, back = false]() mutable {
    if (!std::exchange(back, true)) {
      EXPECT_TRUE(unbind());
    }
  };
  EXPECT_FALSE(watch().value());
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(TrialTest, StaysOneWhenTakingTheNicBackFailed) {
  bind_for(seconds(120));
  host_.fail(3, FakeHost::Fault::kBefore);
  EXPECT_FALSE(unbind());
  ASSERT_TRUE(saved()->confirm_by_ms);
  EXPECT_TRUE(watch().value());
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(TrialTest, TriesAgainWhenADriverWasBusy) {
  bind_for(seconds(1));
  host_.fail(1, FakeHost::Fault::kBefore);
  EXPECT_TRUE(watch().value());
  EXPECT_NE(told_.find("the kernel said no"), std::string::npos) << told_;
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(TrialTest, WaitsForAnotherMoveHoweverLongItTakes) {
  bind_for(seconds(1));
  NicRecords impatient(dir_.file("ports"), milliseconds(0));
  auto other = records_.lock();
  ASSERT_TRUE(other);
  host_.while_asleep = [&, left = 5 + 20]() mutable {
    if (--left == 0) other->reset();
  };
  const auto undone = watch_trial(host_, impatient, FakeHost::kPci, [this](const std::string& line) { told_ += line; });
  ASSERT_TRUE(undone) << undone.error().message;
  EXPECT_TRUE(*undone);
  EXPECT_NE(told_.find("another lbctl has been moving a NIC"), std::string::npos) << told_;
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(TrialTest, LeavesTheLockToOthersBetweenItsTries) {
  bind_for(seconds(1));
  host_.fail_all_from(0);
  size_t confirmed = 0;
  host_.while_asleep = [&] {
    if (told_.find("the kernel said no") != std::string::npos) confirmed += confirm_trial(records_, "wan").has_value();
  };
  EXPECT_FALSE(watch().value()) << told_;
  EXPECT_EQ(confirmed, 1u);
}

TEST_F(TrialTest, UndoesAMoveThatWasLeftHalfDone) {
  host_.fail(4, FakeHost::Fault::kKilled);
  EXPECT_THROW(bind_for(seconds(5)), Killed);
  host_.work();
  EXPECT_TRUE(watch().value());
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(TrialTest, GivesUpWithTheRecordKept) {
  bind_for(seconds(1));
  host_.fail_all_from(0);
  EXPECT_FALSE(watch());
  EXPECT_TRUE(saved()->confirm_by_ms);
}

TEST_F(TrialTest, ConfirmNamesOneOfSeveral) {
  EXPECT_EQ(confirm_trial(records_, "").error().code, net::Code::kNotFound);
  NicRecord record = record_now();
  record.confirm_by_ms = 5;
  ASSERT_TRUE(records_.save(record));
  record.pci = "0000:3b:00.1";
  record.port = "lan";
  ASSERT_TRUE(records_.save(record));
  EXPECT_EQ(confirm_trial(records_, "").error().code, net::Code::kConflict);
  EXPECT_EQ(confirm_trial(records_, "lan").value().record.pci, "0000:3b:00.1");
  EXPECT_EQ(confirm_trial(records_, "").value().record.pci, FakeHost::kPci);
  EXPECT_EQ(confirm_trial(records_, "nosuch").error().code, net::Code::kNotFound);
}

// "R", "S", "Z"; empty: no such process.
std::string process_state(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  stat >> number >> name >> state;
  return state;
}

TEST_F(TrialTest, IsAProcessThatBelongsToNobody) {
  NicRecord record = record_now();
  record.confirm_by_ms = (LinuxHost().now() + seconds(600)).count();
  ASSERT_TRUE(records_.save(record));
  auto lock = records_.lock();
  const auto pid = start_trial(records_, FakeHost::kPci);
  ASSERT_TRUE(pid) << pid.error().message;
  EXPECT_NE(getsid(*pid), getsid(0));
  EXPECT_NE(getsid(*pid), *pid) << "a leader could get a terminal";
  const auto told = [&] {
    std::ifstream log(records_.log_path(FakeHost::kPci));
    return std::string(std::istreambuf_iterator<char>(log), {});
  };
  for (int i = 0; i < 500 && told().find('\n') == std::string::npos; i++) usleep(20'000);
  EXPECT_NE(told().find("waiting for `lbctl port confirm`"), std::string::npos) << told();
  lock->reset();
  EXPECT_TRUE(confirm_trial(records_, "wan")) << "it has no part in our lock";
  for (int i = 0; i < 500 && process_state(*pid) != "" && process_state(*pid) != "Z"; i++) usleep(20'000);
  EXPECT_TRUE(process_state(*pid) == "" || process_state(*pid) == "Z") << process_state(*pid);
  EXPECT_FALSE(std::filesystem::exists(records_.log_path(FakeHost::kPci))) << "it tells of failures only";
}

TEST(NicRecords, ComeBackAsTheyWere) {
  TempDir dir;
  FakeHost host;
  NicRecords records(dir.file("a/b"));
  EXPECT_TRUE(records.all().records.empty());
  NicRecord record = NicMove::record_of(find_nic(host, "eth0").value(), "wan");
  record.override_ = "i40e";
  record.confirm_by_ms = 123'456;
  ASSERT_TRUE(records.save(record));
  const std::vector<NicRecord> all = records.all().records;
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(encode_record(all.front()), encode_record(record));
  EXPECT_EQ(all.front().routes, record.routes);
  ASSERT_TRUE(records.remove(record.pci));
  EXPECT_TRUE(records.remove(record.pci)) << "right to repeat";
  EXPECT_TRUE(records.all().records.empty());
}

TEST(NicRecords, DamagedAndNewerOnesAreRefusedWithTheirPath) {
  TempDir dir;
  NicRecords records(dir.file("ports"));
  std::filesystem::create_directory(dir.file("ports"));
  for (const auto& [text, word] : {std::pair("{\"schema\": 2}", "another version"),
                                   {"{\"schema\": 1}", "damaged"},
                                   {"", "damaged"},
                                   {"{\"schema\": \"1\"}", "damaged"}}) {
    std::ofstream(dir.file("ports/0000:3b:00.0.json")) << text;
    const NicRecords::Listing all = records.all();
    ASSERT_EQ(all.unreadable.size(), 1u);
    const std::string& sentence = all.unreadable[0].message;
    EXPECT_NE(sentence.find("0000:3b:00.0.json"), std::string::npos) << sentence;
    EXPECT_NE(sentence.find(word), std::string::npos) << sentence;
  }
  // The others are as well as ever.
  FakeHost host;
  NicRecord good = NicMove::record_of(find_nic(host, "eth0").value(), "lan");
  good.pci = "0000:3b:00.1";
  good.confirm_by_ms = 5;
  ASSERT_TRUE(records.save(good));
  EXPECT_EQ(find_record(records, "lan").value().pci, good.pci);
  EXPECT_NE(find_record(records, "0000:3b:00.0").error().message.find("damaged"), std::string::npos);
  EXPECT_EQ(confirm_trial(records, "").value().record.port, "lan");
  EXPECT_NE(confirm_trial(records, "").error().message.find("damaged"), std::string::npos) << "it may wait";
}

}  // namespace
}  // namespace lb::ctl
