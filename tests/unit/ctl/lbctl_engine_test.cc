// `lbctl engine`, and what every command says of programs that outlived lbd, on orphans in memory.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "ctl/cmd_engine.h"
#include "ctl/cmd_port.h"
#include "ctl/command_line.h"
#include "tests/unit/ctl/fake_nic_host.h"
#include "tests/unit/ctl/lbctl_fake_daemon.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

class FakeOrphans : public model::Orphans {
 public:
  net::Result<model::OrphanState> show(const std::string& socket) override {
    asked.push_back(socket);
    if (refusal) return *refusal;
    return state;
  }
  net::Result<model::OrphanState> detach(const std::string&, model::Force force, model::Run run) override {
    if (refusal) return *refusal;
    if (state.is_empty()) return net::Error{net::Code::kNotFound, "nothing is left"};
    if (state.forwards && force == model::Force::kNo) return net::Error{net::Code::kConflict, "they still forward"};
    const model::OrphanState before = state;
    if (run == model::Run::kReal) state = {};
    return before;
  }

  model::OrphanState state;
  std::optional<net::Error> refusal;
  std::vector<std::string> asked;
};

struct Outcome {
  int exit;
  std::string out, err;
  json object() const { return json::parse(out); }
};

class EngineTest : public testing::Test {
 protected:
  Outcome lbctl(std::vector<std::string> args) {
    args.insert(args.begin(), {"-s", socket_});
    std::istringstream in;
    std::ostringstream out, err;
    const int exit =
        run_command_line(args, {in, out, err},
                         {[this](CLI::App& app, Session& session) { add_port_commands(app, session, tools_); },
                          [this](CLI::App& app, Session& session) { add_engine_commands(app, session, orphans_); }});
    return {exit, out.str(), err.str()};
  }
  void leave_programs() {
    orphans_.state.folder = "/run/lbd/xdp";
    orphans_.state.pid = 812;
    orphans_.state.forwards = true;
    orphans_.state.interfaces = {{"eth0", 4, 412}, {"eth1", 0, 0}};
    orphans_.state.heartbeat_ago_ms = 12400;
    orphans_.state.orphan_after_ms = 60000;
    orphans_.state.memory = 4096;
  }

  TempDir dir_;
  std::string socket_ = dir_.file("none.sock");
  FakeOrphans orphans_;
  FakeHost host_;
  PortTools tools_{host_, NicRecords(dir_.file("ports")), dir_.file("lbd.yaml")};
};

constexpr const char* kStill = "still forward on eth0, with the configuration they had; that ends in 47 s";

TEST_F(EngineTest, EveryCommandWithoutADaemonTellsWhatStillForwards) {
  leave_programs();
  for (const auto& words : std::vector<std::vector<std::string>>{{},
                                                                 {"service", "list"},
                                                                 {"backend", "drain", "fe/fe11"},
                                                                 {"stats"},
                                                                 {"flow", "count"},
                                                                 {"port", "show", "a"}}) {
    const Outcome run = lbctl(words);
    EXPECT_EQ(run.exit, kNoDaemon);
    EXPECT_NE(run.err.find("lbd (pid 812), which gave no sign of life for 12 s"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find(kStill), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("lbctl engine detach --force"), std::string::npos) << run.err;
    EXPECT_EQ(run.err.find("eth1"), std::string::npos) << run.err;
  }
  EXPECT_EQ(orphans_.asked.back(), socket_);
  const json error = lbctl({"--json", "service", "list"}).object()["error"];
  EXPECT_EQ(error["code"], "unavailable");
  EXPECT_EQ(error["still_forwards"]["ends_in_s"], 47);
  EXPECT_EQ(error["still_forwards"]["programs"][0]["interface"], "eth0");
}

TEST_F(EngineTest, PortListWithoutADaemonTellsIt) {
  leave_programs();
  const Outcome run = lbctl({"port", "list"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_NE(run.err.find(kStill), std::string::npos) << run.err;
}

TEST_F(EngineTest, NothingIsToldWhenNothingForwards) {
  const std::string alone = lbctl({"service", "list"}).err;
  EXPECT_EQ(alone.find("XDP"), std::string::npos) << alone;
  leave_programs();
  orphans_.state.forwards = false;
  EXPECT_EQ(lbctl({"service", "list"}).err, alone);
  orphans_.state.forwards = true;
  orphans_.state.daemon = true;  // it starts, or is stuck
  EXPECT_EQ(lbctl({"service", "list"}).err, alone);
  orphans_.refusal = net::Error{net::Code::kPermission, "no permission"};
  EXPECT_EQ(lbctl({"service", "list"}).err, alone);
  EXPECT_FALSE(lbctl({"--json", "service", "list"}).object()["error"].contains("still_forwards"));
}

TEST_F(EngineTest, ShowTellsOrphansWithoutADaemon) {
  leave_programs();
  const Outcome run = lbctl({"engine", "show"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_NE(run.out.find("silent for 12 s, still forward; that ends in 47 s"), std::string::npos) << run.out;
  const json shown = lbctl({"--json", "engine", "show"}).object();
  EXPECT_EQ(shown["daemon"], false);
  EXPECT_EQ(shown["forwards"], true);
  EXPECT_EQ(shown["heartbeat_ms"], 12400);
  EXPECT_EQ(shown["programs"][1]["attached"], false);
  orphans_.state.heartbeat_ago_ms = 99999;  // the clock went on between two looks
  EXPECT_EQ(lbctl({"--json", "engine", "show"}).object()["ends_in_s"], 0);
  orphans_.state.orphan_after_ms = 0;
  EXPECT_EQ(lbctl({"--json", "engine", "show"}).object()["ends_in_s"], nullptr);
  EXPECT_NE(lbctl({"stats"}).err.find("has no end (daemon.orphan-after: never)"), std::string::npos);
}

TEST_F(EngineTest, ShowWithoutAnythingIsNoDaemon) {
  const Outcome run = lbctl({"engine", "show"});
  EXPECT_EQ(run.exit, kNoDaemon);
  EXPECT_NE(run.err.find("does not exist; start lbd"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("no XDP program of an lbd with that socket is attached here"), std::string::npos) << run.err;
  orphans_.refusal = net::Error{net::Code::kPermission, "needs root"};
  EXPECT_EQ(lbctl({"engine", "show"}).exit, kRefused);
}

TEST_F(EngineTest, ShowAsksTheDaemonThatIsThere) {
  FakeDaemon daemon(FakeDaemon::always({{"engine", "dpdk"},
                                        {"platform", "DPDK 22.11.5"},
                                        {"daemon", true},
                                        {"pid", 7},
                                        {"workers", json::array()},
                                        {"programs", json::array()}}));
  socket_ = daemon.socket();
  const Outcome run = lbctl({"engine", "show"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_NE(run.out.find("engine dpdk on DPDK 22.11.5"), std::string::npos) << run.out;
  EXPECT_EQ(daemon.requests().back().json["method"], "engine.show");
  EXPECT_TRUE(orphans_.asked.empty());
}

TEST_F(EngineTest, DetachNeedsForceWhileTheyForward) {
  leave_programs();
  EXPECT_EQ(lbctl({"engine", "detach"}).exit, kRefused);
  const Outcome dry = lbctl({"--dry-run", "engine", "detach", "--force"});
  EXPECT_EQ(dry.exit, kDone) << dry.err;
  EXPECT_NE(dry.out.find("eth0: the program would be taken off"), std::string::npos) << dry.out;
  EXPECT_TRUE(orphans_.state.forwards);
  const Outcome run = lbctl({"engine", "detach", "--force"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_NE(run.out.find("eth0: the program is off, the kernel gets every packet\neth1: the interface is gone"),
            std::string::npos)
      << run.out;
  EXPECT_TRUE(orphans_.state.is_empty());
  const Outcome again = lbctl({"--json", "engine", "detach"});  // right to repeat
  EXPECT_EQ(again.exit, kDone) << again.err;
  EXPECT_EQ(again.object()["changed"], false);
  orphans_.refusal = net::Error{net::Code::kPermission, "needs root"};
  EXPECT_EQ(lbctl({"engine", "detach"}).exit, kRefused);
}

TEST_F(EngineTest, DetachIsRefusedWithADaemon) {
  leave_programs();
  for (const char* engine : {"xdp", "dpdk"}) {
    FakeDaemon daemon([&](const Request& r) {
      return FakeDaemon::result(r, {{"protocol", 1}, {"version", "0.1.0"}, {"pid", 7}, {"engine", engine}});
    });
    socket_ = daemon.socket();
    const Outcome run = lbctl({"engine", "detach", "--force"});
    EXPECT_EQ(run.exit, kRefused);
    EXPECT_NE(run.err.find("lbd (pid 7) runs"), std::string::npos) << run.err;
    EXPECT_EQ(run.err.find("systemctl stop lbd") != std::string::npos, std::string(engine) == "xdp") << run.err;
  }
  EXPECT_FALSE(orphans_.state.is_empty());
}

TEST_F(EngineTest, AnInterfaceOfAnOrphanIsNotMovedAway) {
  leave_programs();
  const std::string before = host_.picture();
  const Outcome run = lbctl({"port", "bind", "eth0", "--name", "wan"});
  EXPECT_EQ(run.exit, kRefused) << run.out;
  EXPECT_NE(run.err.find("the XDP program of an lbd that died still forwards on eth0"), std::string::npos) << run.err;
  EXPECT_EQ(host_.picture(), before);
}

TEST_F(EngineTest, ACardThatIsMovedAwayFromEngineXdpGetsANote) {
  std::ofstream(tools_.config) << "version: 1\ndaemon: {engine: xdp, xdp: {interfaces: [{name: eth0}]}}\n";
  const Outcome run = lbctl({"port", "bind", "eth0", "--name", "wan"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_NE(run.out.find("has engine xdp, which cannot use this card any more: change daemon.engine to dpdk"),
            std::string::npos)
      << run.out;
}

}  // namespace
}  // namespace lb::ctl
