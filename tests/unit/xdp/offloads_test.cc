// Offloads of a real veth pair in a network namespace of the test's own.
#include "xdp/offloads.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace lb::xdp {
namespace {

using model::XdpInterface;
using model::XdpMode;

const Features kGro = {"rx-gro"};
const Features kTags = {"rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"};

bool shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

class OffloadsOfVeth : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << strerror(errno);
    ASSERT_TRUE(shell("ip link add off0 type veth peer name off1 && ip link set off0 up && ip link set off1 up"));
    for (const char* name : {"off0", "off1"}) {
      const auto table = FeatureTable::read(name);
      ASSERT_TRUE(table) << table.error().message;
      ASSERT_TRUE(table->set(kGro, true));
    }
    ASSERT_EQ(active("off0", kGro), kGro);
    ASSERT_EQ(active("off0", kTags), kTags);
    folder_ = testing::TempDir() + "offloads-" + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
    file_ = folder_ + "/offloads";
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  static Features active(const std::string& name, const Features& of) {
    const auto table = FeatureTable::read(name);
    EXPECT_TRUE(table) << table.error().message;
    return table ? table->active(of) : Features{};
  }
  net::Result<std::unique_ptr<Offloads>> turn_off(const std::vector<XdpInterface>& interfaces) {
    return Offloads::turn_off(file_, interfaces, [&](std::string_view line) { log_ += line; });
  }
  // As an lbd that is killed then.
  void turn_off_and_die(const std::vector<XdpInterface>& interfaces) {
    const pid_t child = fork();
    if (child == 0) _exit(turn_off(interfaces) ? (kill(getpid(), SIGKILL), 0) : 1);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  std::string text() const {
    std::stringstream all;
    all << std::ifstream(file_).rdbuf();
    return all.str();
  }

  std::string folder_, file_, log_;
};

TEST_F(OffloadsOfVeth, GenericModeTurnsThemOffAndTheEndRestoresThem) {
  auto offloads = turn_off({{"off0", XdpMode::kGeneric}});
  ASSERT_TRUE(offloads) << offloads.error().message;
  EXPECT_EQ(active("off0", kGro), Features{});
  EXPECT_EQ(active("off0", kTags), Features{});
  EXPECT_EQ(active("off1", kGro), kGro);  // not ours
  EXPECT_EQ(text(), "off0 rx-gro rx-vlan-hw-parse rx-vlan-stag-hw-parse\n");
  offloads->reset();
  EXPECT_EQ(active("off0", kGro), kGro);
  EXPECT_EQ(active("off0", kTags), kTags);
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_EQ(log_, "");
}

TEST_F(OffloadsOfVeth, NativeModeLeavesGro) {
  const auto offloads = turn_off({{"off0", XdpMode::kNative}});
  ASSERT_TRUE(offloads) << offloads.error().message;
  EXPECT_EQ(active("off0", kGro), kGro);
  EXPECT_EQ(active("off0", kTags), Features{});
}

TEST_F(OffloadsOfVeth, WhatWasOffStaysOff) {
  ASSERT_TRUE(FeatureTable::read("off0")->set(kGro, false));
  auto offloads = turn_off({{"off0", XdpMode::kGeneric}});
  ASSERT_TRUE(offloads);
  offloads->reset();
  EXPECT_EQ(active("off0", kGro), Features{});
  EXPECT_EQ(active("off0", kTags), kTags);
}

TEST_F(OffloadsOfVeth, TheNextOneRestoresWhatAKilledOneTurnedOff) {
  turn_off_and_die({{"off0", XdpMode::kGeneric}});
  EXPECT_EQ(active("off0", kGro), Features{});
  auto offloads = turn_off({{"off0", XdpMode::kGeneric}});
  ASSERT_TRUE(offloads) << offloads.error().message;
  EXPECT_EQ(active("off0", kGro), Features{});
  offloads->reset();
  EXPECT_EQ(active("off0", kGro), kGro);
  EXPECT_EQ(active("off0", kTags), kTags);
}

TEST_F(OffloadsOfVeth, AnotherModeOrInterfaceRestoresAtOnceWhatItNeedNotHaveOff) {
  turn_off_and_die({{"off0", XdpMode::kGeneric}, {"off1", XdpMode::kGeneric}});
  const auto offloads = turn_off({{"off0", XdpMode::kNative}});
  ASSERT_TRUE(offloads) << offloads.error().message;
  EXPECT_EQ(active("off0", kGro), kGro);
  EXPECT_EQ(active("off0", kTags), Features{});
  EXPECT_EQ(active("off1", kGro), kGro);
  EXPECT_EQ(active("off1", kTags), kTags);
  EXPECT_EQ(text(), "off0 rx-vlan-hw-parse rx-vlan-stag-hw-parse\n");
}

TEST_F(OffloadsOfVeth, AnInterfaceThatIsGoneIsToldAndHoldsUpNothing) {
  auto offloads = turn_off({{"off0", XdpMode::kGeneric}});
  ASSERT_TRUE(offloads);
  ASSERT_TRUE(shell("ip link del off0"));
  offloads->reset();
  EXPECT_NE(log_.find("off0"), std::string::npos) << log_;
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(OffloadsOfVeth, AStartThatFailsLeavesWhatAKilledOneTurnedOff) {
  turn_off_and_die({{"off0", XdpMode::kGeneric}});
  const std::string before = text();
  ASSERT_FALSE(turn_off({{"off0", XdpMode::kGeneric}, {"off1", XdpMode::kGeneric}, {"nosuch0", XdpMode::kGeneric}}));
  EXPECT_EQ(active("off0", kGro), Features{});  // the killed one's program may be attached still
  EXPECT_EQ(active("off1", kGro), kGro);
  EXPECT_EQ(text(), before);
  auto offloads = turn_off({{"off0", XdpMode::kGeneric}});
  ASSERT_TRUE(offloads);
  offloads->reset();
  EXPECT_EQ(active("off0", kGro), kGro);
}

TEST_F(OffloadsOfVeth, RefusesWithASentenceAndUndoesWhatItDid) {
  auto offloads = turn_off({{"off0", XdpMode::kGeneric}, {"nosuch0", XdpMode::kGeneric}});
  ASSERT_FALSE(offloads);
  EXPECT_EQ(offloads.error().code, net::Code::kNotFound);
  EXPECT_NE(offloads.error().message.find("nosuch0"), std::string::npos);
  EXPECT_EQ(active("off0", kGro), kGro);
  file_ = folder_ + "/nosuch/offloads";
  offloads = turn_off({{"off0", XdpMode::kGeneric}});
  ASSERT_FALSE(offloads);
  EXPECT_EQ(offloads.error().code, net::Code::kIo);
  EXPECT_NE(offloads.error().message.find(file_), std::string::npos) << offloads.error().message;
  EXPECT_EQ(active("off0", kGro), kGro);
}

}  // namespace
}  // namespace lb::xdp
