// Moves on trial, and the records of what NICs had: who undoes what, and when.
#include "ctl/nic_trial.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ctl/nic_host.h"
#include "tests/unit/ctl/nic_move_fixture.h"

namespace lb::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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
