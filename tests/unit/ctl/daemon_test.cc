// Start-up and end of the control plane as lbd runs it, in a network namespace of its own.
#include "ctl/daemon.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/unit/ctl/client.h"

namespace lb::ctl {
namespace {

class DaemonTest : public testing::Test {
 protected:
  DaemonTest() : before_(set_log_sink([this](LogLevel, const std::string& line) { logged_ += line + '\n'; })) {
    config_ = test_config();
    config_.daemon.socket = dir_ / "lbd.sock";
    config_.daemon.state_dir = dir_ / "state";
    config_.daemon.hash_key_file = dir_ / "hash-key";
    spill(file_, model::print_config(config_));
  }
  ~DaemonTest() override { set_log_sink(before_); }

  // Runs `work` against a daemon on a thread of its own; ends it by SIGTERM. RETURNS: its exit status.
  int with_daemon(const std::function<void(TestClient&)>& work) {
    auto control = prepare_control(config_, file_);
    EXPECT_TRUE(control) << control.error().message;
    if (!control) return -1;
    int status = -1;
    std::thread daemon([&] { status = run_control(**control, engine_); });
    {
      TestClient client(config_.daemon.socket);
      EXPECT_TRUE(client.result("hello").is_object());
      work(client);
    }
    kill(getpid(), SIGTERM);
    daemon.join();
    return status;
  }
  std::string refusal() {
    auto refused = prepare_control(config_, file_);
    EXPECT_FALSE(refused);
    return refused ? "" : refused.error().message;
  }

  std::string logged_;
  LogSink before_;
  TempDir dir_;
  const std::string file_ = dir_ / "lbd.yaml";
  model::Config config_;
  FakeEngine engine_;
};

TEST_F(DaemonTest, ServesUntilSigtermAndRemembers) {
  EXPECT_EQ(with_daemon([](TestClient& client) {
              EXPECT_EQ(client.result("service.remove", {{"name", "dns"}})["revision"], 2);
            }),
            0);
  EXPECT_FALSE(std::filesystem::exists(config_.daemon.socket));
  EXPECT_EQ(with_daemon([&](TestClient& client) {
              const auto summary = client.result("summary");
              EXPECT_EQ(summary["revision"], 2) << "the state wins over the file";
              EXPECT_EQ(summary["services"].size(), 1u);
              EXPECT_NE(summary["drift"]["why"].get<std::string>().find("dns"), std::string::npos);
            }),
            0);
  EXPECT_NE(logged_.find("event=drift"), std::string::npos) << logged_;
}

TEST_F(DaemonTest, SighupAppliesTheFile) {
  with_daemon([&](TestClient& client) {
    client.result("service.remove", {{"name", "dns"}});
    kill(getpid(), SIGHUP);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (client.result("hello")["revision"] != 3 && std::chrono::steady_clock::now() < deadline) {
    }
    EXPECT_EQ(client.result("service.list")["services"].size(), 2u);
    EXPECT_EQ(client.result("summary")["drift"], nullptr);
  });
}

TEST_F(DaemonTest, ASecondDaemonIsRefused) {
  with_daemon([&](TestClient&) {
    EXPECT_NE(refusal().find("lbd with pid " + std::to_string(getpid()) + " answers at"), std::string::npos);
    config_.daemon.socket = dir_ / "other.sock";
    EXPECT_NE(refusal().find("state-dir"), std::string::npos);
  });
}

TEST_F(DaemonTest, ADamagedStateIsSetAsideAndSaid) {
  with_daemon([](TestClient& client) { client.result("service.remove", {{"name", "dns"}}); });
  const std::string state = config_.daemon.state_dir + "/state.json";
  const std::string whole = slurp(state);
  spill(state, whole.substr(0, whole.size() / 2));
  with_daemon([&](TestClient& client) {
    const auto summary = client.result("summary");
    EXPECT_EQ(summary["services"].size(), 2u) << "the file's";
    EXPECT_NE(summary["problems"][0].get<std::string>().find("was damaged"), std::string::npos);
  });
  EXPECT_NE(logged_.find("event=state_damaged"), std::string::npos);
}

// What shall outlive lbd (the ports' twins) is kept when the start can fail no more.
TEST_F(DaemonTest, KeepsWhatTheEngineMadeOnceTheStartIsDone) {
  EXPECT_EQ(with_daemon([](TestClient&) {}), 0);
  EXPECT_EQ(engine_.keeps, std::vector<int>{1});
}

TEST_F(DaemonTest, KeepsNothingOfAStartThatFails) {
  auto control = prepare_control(config_, file_);
  ASSERT_TRUE(control) << control.error().message;
  engine_.refuse = true;
  EXPECT_EQ(run_control(**control, engine_), 1);
  EXPECT_TRUE(engine_.keeps.empty());
  engine_.refuse = false;
  engine_.refuse_keep = true;
  control->reset();
  control = prepare_control(config_, file_);
  ASSERT_TRUE(control) << control.error().message;
  EXPECT_EQ(run_control(**control, engine_), 1);
  EXPECT_NE(logged_.find("cannot be made persistent"), std::string::npos) << logged_;
}

TEST_F(DaemonTest, WhatCannotBeUsedIsNamed) {
  spill(dir_ / "hash-key", "short\n");
  chmod((dir_ / "hash-key").c_str(), 0600);
  EXPECT_NE(refusal().find("hash-key-file"), std::string::npos);
  std::filesystem::remove(dir_ / "hash-key");
  spill(dir_ / "file", "");
  config_.daemon.state_dir = dir_ / "file/state";
  EXPECT_NE(refusal().find("Not a directory"), std::string::npos);
}

TEST_F(DaemonTest, TheSocketIsOpenToOthersOnlyWhenAccessNamesSome) {
  const auto mode = [&] {
    struct stat st {};
    EXPECT_EQ(stat(config_.daemon.socket.c_str(), &st), 0);
    return st.st_mode & 07777;
  };
  with_daemon([&](TestClient&) { EXPECT_EQ(mode(), 0600u); });
  config_.daemon.access.viewers = {"%no-such-group-here"};
  with_daemon([&](TestClient& client) {
    EXPECT_EQ(mode(), 0666u);
    EXPECT_EQ(client.result("hello")["role"], "operator");
  });
  EXPECT_NE(logged_.find("event=access_unknown key=daemon.access.viewer entry=%no-such-group-here"), std::string::npos)
      << logged_;
}

TEST_F(DaemonTest, AReloadIsInTheAuditLog) {
  with_daemon([&](TestClient& client) {
    client.result("service.remove", {{"name", "dns"}});
    kill(getpid(), SIGHUP);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (client.result("hello")["revision"] != 3 && std::chrono::steady_clock::now() < deadline) {
    }
  });
  std::istringstream text(slurp(dir_ / "state/audit.log"));
  std::string removed, reloaded;
  std::getline(text, removed) && std::getline(text, reloaded);
  EXPECT_EQ(nlohmann::json::parse(removed)["method"], "service.remove");
  const auto line = nlohmann::json::parse(reloaded);
  EXPECT_EQ(line["method"], "reload");
  EXPECT_EQ(line["params"]["file"], file_);
  EXPECT_EQ(line["revision"], 3);
}

TEST_F(DaemonTest, AFolderWithoutPermissionIsNamed) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    mkdir((dir_ / "locked").c_str(), 0755);
    if (geteuid() == 0 && (chmod(dir_.path().c_str(), 0755) != 0 || setuid(65534) != 0)) _exit(3);
    if (geteuid() != 65534) chmod((dir_ / "locked").c_str(), 0500);
    config_.daemon.socket = dir_ / "locked/lbd.sock";
    auto refused = prepare_control(config_, file_);
    const bool named = !refused && refused.error().code == net::Code::kPermission &&
                       refused.error().message.find("Permission denied") != std::string::npos;
    _exit(named ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace lb::ctl
