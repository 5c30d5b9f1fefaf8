// For what outlives lbd: a folder, mounts and network interfaces that are the test's own, for root; a child that is
// killed; small XDP programs.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "xdp/runtime.h"

namespace lb::xdp {

#define ASSERT_OK(result) ASSERT_TRUE(result) << (result).error().message
#define EXPECT_OK(result)                  \
  do {                                     \
    const auto& ok = (result);             \
    EXPECT_TRUE(ok) << ok.error().message; \
  } while (false)
#define EXPECT_ERROR(result, wanted_code, words)                                          \
  do {                                                                                    \
    const auto& got = (result);                                                           \
    ASSERT_FALSE(got);                                                                    \
    EXPECT_EQ(got.error().code, net::Code::wanted_code) << got.error().message;           \
    EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message; \
  } while (false)

class Life : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounts, network namespaces and BPF need root";
    ASSERT_EQ(unshare(CLONE_NEWNS | CLONE_NEWNET), 0) << strerror(errno);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << strerror(errno);
    char name[] = "/tmp/lbd-life-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    parent_ = name;
  }
  void TearDown() override {
    if (parent_.empty()) return;
    (void)umount2(folder().c_str(), MNT_DETACH);
    std::filesystem::remove_all(parent_);
  }

  std::string folder() const { return parent_ + "/xdp"; }
  std::string socket() const { return parent_ + "/lbd.sock"; }
  Log log() {
    return [this](std::string_view line) { lines_.emplace_back(line); };
  }
  bool logged(std::string_view words) const {
    for (const std::string& line : lines_)
      if (line.find(words) != std::string::npos) return true;
    return false;
  }
  Runtime open() {
    auto runtime = Runtime::open(folder(), log());
    EXPECT_OK(runtime);
    return std::move(*runtime);
  }
  static bool shell(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }
  // A program that returns `verdict`. Named as the balancer's.
  static Fd program(int verdict = XDP_PASS) {
    const bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = verdict},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    Fd fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "lbd_balance", "GPL", code, std::size(code), nullptr));
    EXPECT_TRUE(fd.valid()) << strerror(errno);
    return fd;
  }
  static uint32_t id_of(const Fd& program_fd) {
    const auto info = program_info_of(program_fd.get());
    return info ? info->id : 0;
  }
  // Runs `what` in a child of its own, which is killed when it is done: no destructor, no goodbye.
  template <class What>
  static void live_and_be_killed(What what) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      what();
      kill(getpid(), testing::Test::HasFailure() ? SIGABRT : SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(WTERMSIG(status), SIGKILL) << "the child failed";
  }

  std::string parent_;
  std::vector<std::string> lines_;
};

}  // namespace lb::xdp
