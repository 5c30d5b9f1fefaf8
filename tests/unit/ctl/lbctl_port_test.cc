// `lbctl port` as an operator meets it: words in, text, JSON and exit codes out, on a machine in memory.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>
#include <thread>

#include "ctl/cmd_port.h"
#include "ctl/command_line.h"
#include "ctl/nic_host.h"
#include "ctl/nic_trial.h"
#include "tests/unit/ctl/fake_nic_host.h"
#include "tests/unit/ctl/lbctl_fake_daemon.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct Outcome {
  int exit;
  std::string out, err;
  json object() const { return json::parse(out); }
};

class PortTest : public testing::Test {
 protected:
  PortTest() { setenv("LBD_SOCKET", dir_.file("none.sock").c_str(), 1); }
  ~PortTest() override { unsetenv("LBD_SOCKET"); }

  Outcome lbctl(std::vector<std::string> args) {
    args.insert(args.begin(), "port");
    std::istringstream in;
    std::ostringstream out, err;
    const int exit = run_command_line(
        args, {in, out, err}, {[this](CLI::App& app, Session& session) { add_port_commands(app, session, tools_); }});
    return {exit, out.str(), err.str()};
  }
  void expect_refused(const std::vector<std::string>& args, const std::string& word) {
    const std::string before = host_.picture();
    const Outcome run = lbctl(args);
    EXPECT_EQ(run.exit, kRefused) << run.out;
    EXPECT_NE(run.err.find(word), std::string::npos) << "no \"" << word << "\" in: " << run.err;
    EXPECT_EQ(host_.picture(), before);
  }

  TempDir dir_;
  FakeHost host_;
  PortTools tools_{host_, NicRecords(dir_.file("ports")), dir_.file("lbd.yaml")};
  const std::string before_ = host_.picture();
};

TEST_F(PortTest, BindTellsWhatWasAndTheLineForTheConfiguration) {
  const Outcome run = lbctl({"bind", "eth0", "--name", "wan"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  for (const char* words :
       {"0000:3b:00.0: moved to vfio-pci", "eth0, i40e", "lbd-wan", "203.0.113.2/24, 2001:db8::2/64",
        "192.0.2.0/24 via 203.0.113.1", "- {name: wan, device: \"0000:3b:00.0\", mtu: 9000}"})
    EXPECT_NE(run.out.find(words), std::string::npos) << run.out;
  EXPECT_EQ(host_.nic().driver, "vfio-pci");
}

TEST_F(PortTest, BindAndUnbindAreObjectsForScripts) {
  json bound = lbctl({"bind", "eth0", "--name", "wan", "--json"}).object();
  EXPECT_EQ(bound.at("changed"), true);
  EXPECT_EQ(bound.at("pci"), FakeHost::kPci);
  EXPECT_EQ(bound.at("twin"), "lbd-wan");
  EXPECT_EQ(bound.at("addresses"), json({"203.0.113.2/24", "2001:db8::2/64"}));
  EXPECT_EQ(bound.at("confirm_within_s"), nullptr);
  bound = lbctl({"bind", "0000:3b:00.0", "--json"}).object();
  EXPECT_EQ(bound.at("changed"), false) << "right to repeat";
  EXPECT_EQ(bound.at("name"), "wan");
  json back = lbctl({"unbind", "wan", "--json"}).object();
  EXPECT_EQ(back.at("changed"), true);
  EXPECT_EQ(back.at("interface"), "eth0");
  EXPECT_EQ(host_.picture(), before_);
  back = lbctl({"unbind", "0000:3b:00.0", "--json"}).object();
  EXPECT_EQ(back.at("changed"), false);
}

TEST_F(PortTest, ADryRunNamesTheStepsAndTakesNone) {
  const Outcome run = lbctl({"bind", "eth0", "--name", "wan", "--try", "2m", "--dry-run"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  for (const char* words :
       {"would be moved", "- take 0000:3b:00.0 from its driver", "- give 0000:3b:00.0 to vfio-pci", "- make lbd-wan",
        "- set lbd-wan: MAC 02:00:00:00:00:99, MTU 9000, up", "It would go back in 2 min"})
    EXPECT_NE(run.out.find(words), std::string::npos) << words << " is not in " << run.out;
  EXPECT_EQ(host_.steps(), 0u);
  EXPECT_EQ(lbctl({"bind", "eth0", "--dry-run", "--json"}).object().at("steps").size(), 7u);
  EXPECT_FALSE(std::filesystem::exists(dir_.file("ports"))) << "nothing was written";
  ASSERT_EQ(lbctl({"bind", "eth0", "--name", "wan"}).exit, kDone);
  const size_t steps = host_.steps();
  EXPECT_NE(lbctl({"unbind", "wan", "--dry-run"}).out.find("- remove lbd-wan"), std::string::npos);
  EXPECT_EQ(host_.steps(), steps);
}

TEST_F(PortTest, TheNameIsThatOfTheConfigurationElseOfTheInterface) {
  EXPECT_EQ(lbctl({"bind", "eth0", "--dry-run", "--json"}).object().at("name"), "eth0");
  std::ofstream(dir_.file("lbd.yaml")) << "version: 1\ndaemon:\n  dpdk:\n    workers: [0]\n    ports:\n"
                                          "      - {name: lan, device: eth1}\n"
                                          "      - {name: outside, device: \"0000:3B:00.0\"}\n";
  EXPECT_EQ(lbctl({"bind", "eth0", "--dry-run", "--json"}).object().at("name"), "outside");
  EXPECT_EQ(lbctl({"bind", "eth0", "--name", "x", "--dry-run", "--json"}).object().at("name"), "x");
}

TEST_F(PortTest, RefusalsChangeNothing) {
  expect_refused({"bind", "eth9"}, "eth9");
  host_.ssh = {"198.51.100.7", "eth0", ""};
  expect_refused({"bind", "eth0"}, "--force-session");
  EXPECT_EQ(lbctl({"bind", "eth0", "--force-session", "--dry-run"}).exit, kDone);
  expect_refused({"unbind", "nosuch"}, "moved no nosuch");
  expect_refused({"confirm"}, "no move waits");
  expect_refused({"confirm", "wan"}, "moved no wan");
  EXPECT_EQ(lbctl({"bind", "eth0", "--try", "soon"}).exit, kUsage);
  EXPECT_EQ(lbctl({"bind", "eth0", "--try", "0"}).exit, kUsage);
  EXPECT_EQ(lbctl({"bind"}).exit, kUsage);
  EXPECT_EQ(lbctl({"unbind"}).exit, kUsage);
}

TEST_F(PortTest, AFailedMoveExitsOneAndSaysThatItIsUndone) {
  host_.fail(4, FakeHost::Fault::kBefore);
  expect_refused({"bind", "eth0", "--name", "wan"}, "everything is as it was before");
  host_.fail(4, FakeHost::Fault::kBefore);
  const json object = lbctl({"bind", "eth0", "--name", "wan", "--json"}).object();
  EXPECT_EQ(object.at("changed"), false);
  EXPECT_EQ(object.at("error").at("code"), "io");
}

TEST_F(PortTest, ANicThatIsMovedForAnotherPortOrHalfMovedIsNotMovedAgain) {
  ASSERT_EQ(lbctl({"bind", "eth0", "--name", "wan"}).exit, kDone);
  expect_refused({"bind", FakeHost::kPci, "--name", "lan"}, "for the port wan already");
  NicRecord record = tools_.records.find(FakeHost::kPci).value().value();
  record.complete = false;
  ASSERT_TRUE(tools_.records.save(record));
  expect_refused({"bind", FakeHost::kPci}, "left half done");
  record.complete = true;
  ASSERT_TRUE(tools_.records.save(record));
  host_.nic().driver = "";
  expect_refused({"bind", FakeHost::kPci}, "by other means");
  EXPECT_EQ(lbctl({"unbind", "wan"}).exit, kDone);
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(PortTest, WhatAnotherLbctlDoesMeanwhileIsSeen) {
  NicRecord other = NicMove::record_of(find_nic(host_, "eth0").value(), "lan");
  auto lock = tools_.records.lock();
  ASSERT_TRUE(lock);
  std::thread mover([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_TRUE(tools_.records.save(other));
    lock->reset();
  });
  expect_refused({"bind", "eth0", "--name", "wan"}, "left half done");
  mover.join();
  EXPECT_EQ(tools_.records.find(FakeHost::kPci).value()->port, "lan") << "its record is not overwritten";
  EXPECT_NE(lbctl({"bind", "eth0", "--dry-run"}).err.find("is under way, or was left half done"), std::string::npos);
}

TEST_F(PortTest, ANicThatOthersMovedIsLeftToThem) {
  host_.nic().driver = "vfio-pci";
  host_.nic().interfaces.clear();
  host_.interfaces().clear();
  const Outcome run = lbctl({"bind", FakeHost::kPci, "--name", "wan"});
  EXPECT_EQ(run.exit, kDone);
  EXPECT_NE(run.out.find("is on vfio-pci already"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("lbctl did not move it"), std::string::npos) << run.out;
  expect_refused({"unbind", FakeHost::kPci}, "drivers_probe");
  EXPECT_EQ(host_.steps(), 0u);
}

TEST_F(PortTest, ABifurcatedNicNeedsNoMove) {
  host_.nic().vendor = 0x15b3;
  host_.nic().driver = "mlx5_core";
  for (const std::string device : {"eth0", FakeHost::kPci}) {
    const Outcome run = lbctl({"bind", device, "--name", "wan"});
    EXPECT_EQ(run.exit, kDone) << run.err;
    for (const char* words :
         {"0000:3b:00.0: needs no move", "keeps the interface", "- {name: wan, device: \"0000:3b:00.0\", mtu: 9000}"})
      EXPECT_NE(run.out.find(words), std::string::npos) << run.out;
  }
  const json bound = lbctl({"bind", FakeHost::kPci, "--dry-run", "--json"}).object();
  EXPECT_EQ(bound.at("changed"), false);
  EXPECT_EQ(bound.at("twin"), nullptr);
  EXPECT_EQ(bound.at("driver"), "mlx5_core");
  EXPECT_EQ(bound.at("interface"), "eth0");
  EXPECT_NE(lbctl({"unbind", "eth0"}).out.find("is the kernel's already"), std::string::npos);
  EXPECT_EQ(host_.steps(), 0u);
}

TEST_F(PortTest, AnInterfaceOfARunningLbdIsNotTakenFromIt) {
  FakeDaemon daemon(FakeDaemon::always({{"ports", {{{"name", "lan"}, {"ifname", "eth0"}}}}}));
  setenv("LBD_SOCKET", daemon.socket().c_str(), 1);
  expect_refused({"bind", "eth0", "--name", "wan"}, "is the port lan of the lbd that runs");
}

TEST_F(PortTest, ATrialWaitsForItsConfirmation) {
  host_.now_ = LinuxHost().now();  // the process that watches reads the real clock
  const Outcome bound = lbctl({"bind", "eth0", "--name", "wan", "--try", "10m"});
  EXPECT_EQ(bound.exit, kDone) << bound.err;
  EXPECT_NE(bound.out.find("It goes back in 10 min 0 s unless `lbctl port confirm wan` follows"), std::string::npos)
      << bound.out;
  const json listed = lbctl({"list", "--all", "--json"}).object().at("nics").at(0);
  EXPECT_EQ(listed.at("port"), "wan");
  EXPECT_EQ(listed.at("interface"), "lbd-wan");
  EXPECT_EQ(listed.at("confirm_in_s"), 600);
  EXPECT_EQ(lbctl({"confirm", "--json"}).object().at("changed"), true);
  EXPECT_EQ(lbctl({"confirm", "wan", "--json"}).object().at("changed"), false);
  EXPECT_EQ(lbctl({"unbind", "lbd-wan"}).exit, kDone);
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(PortTest, UnbindStopsTheUserOnlyWhenTold) {
  ASSERT_EQ(lbctl({"bind", "eth0", "--name", "wan"}).exit, kDone);
  host_.processes = {{4711, "lbd"}};
  expect_refused({"unbind", "wan"}, "in use by lbd (pid 4711)");
  EXPECT_EQ(lbctl({"unbind", "wan", "--force-stop"}).exit, kDone);
  EXPECT_TRUE(host_.processes.empty());
  EXPECT_EQ(host_.picture(), before_);
}

TEST_F(PortTest, ListAsksLbdAndTheMachineWhenToldOrWhenThereIsNoLbd) {
  host_.interfaces().at("eth0").default_route = "default via 203.0.113.1";
  host_.ssh = {"198.51.100.7", "eth0", ""};
  const Outcome alone = lbctl({"list"});
  EXPECT_EQ(alone.exit, kDone);
  EXPECT_NE(alone.err.find("no lbd here"), std::string::npos) << alone.err;
  EXPECT_NE(alone.out.find("this SSH session (from 198.51.100.7), default via 203.0.113.1"), std::string::npos)
      << alone.out;
  FakeDaemon daemon(FakeDaemon::always({{"ports", {{{"name", "wan"}}}}}));
  setenv("LBD_SOCKET", daemon.socket().c_str(), 1);
  json result = lbctl({"list", "--json"}).object();
  EXPECT_EQ(result.at("ports").at(0).at("name"), "wan");
  EXPECT_FALSE(result.contains("nics"));
  result = lbctl({"list", "--all", "--json"}).object();
  const json nic = result.at("nics").at(0);
  EXPECT_EQ(nic.at("pci"), FakeHost::kPci);
  EXPECT_EQ(nic.at("driver"), "i40e");
  EXPECT_EQ(nic.at("iommu_group"), 31);
  EXPECT_EQ(nic.at("interface"), "eth0");
  EXPECT_EQ(nic.at("link"), true);
  EXPECT_EQ(nic.at("session"), "198.51.100.7");
  EXPECT_EQ(nic.at("default_route"), "default via 203.0.113.1");
  EXPECT_EQ(nic.at("port"), nullptr);
}

TEST_F(PortTest, ShowAsksForOne) {
  FakeDaemon daemon(FakeDaemon::always({{"name", "wan"}}));
  setenv("LBD_SOCKET", daemon.socket().c_str(), 1);
  EXPECT_EQ(lbctl({"show", "wan"}).exit, kDone);
  EXPECT_EQ(daemon.requests().back().json.at("method"), "port.show");
  EXPECT_EQ(daemon.params(), json({{"name", "wan"}}));
  EXPECT_EQ(lbctl({"show"}).exit, kUsage);
}

}  // namespace
}  // namespace lb::ctl
