// An XDP engine in this process, on veth pairs in a network namespace of the test's own; packets come in by running the
// attached program over them (BPF_PROG_TEST_RUN), which counts and tracks as real ones do.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/packet/builder.h"
#include "tests/unit/dpdk/small_world.h"
#include "xdp/xdp_engine.h"

namespace lb::xdp::testing {

using dpdk::testing::must;
using dpdk::testing::small_snapshot;

inline bool shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

struct Ran {
  uint32_t action = 0;  // XDP_...
  packet::Bytes out;
};

// Through the program on that interface, whatever it is now.
inline Ran run_attached(const std::string& ifname, const packet::Bytes& frame) {
  Ran ran{.action = XDP_ABORTED, .out = packet::Bytes(frame.size() + 256)};
  __u32 id = 0;
  if (bpf_xdp_query_id(static_cast<int>(if_nametoindex(ifname.c_str())), 0, &id) != 0 || id == 0) return ran;
  const Fd program(bpf_prog_get_fd_by_id(id));
  bpf_test_run_opts opts{};
  opts.sz = sizeof(opts);
  opts.data_in = frame.data();
  opts.data_size_in = static_cast<uint32_t>(frame.size());
  opts.data_out = ran.out.data();
  opts.data_size_out = static_cast<uint32_t>(ran.out.size());
  if (bpf_prog_test_run_opts(program.get(), &opts) != 0) return ran;
  ran.action = opts.retval;
  ran.out.resize(opts.data_size_out);
  return ran;
}

// The folder of one lbd, gone with its mount.
class RuntimeFolder {
 public:
  RuntimeFolder() {
    char name[] = "/tmp/lbd-xdp-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~RuntimeFolder() {
    (void)umount2((path_ + "/xdp").c_str(), MNT_DETACH);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  RuntimeFolder(const RuntimeFolder&) = delete;
  RuntimeFolder& operator=(const RuntimeFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class EngineWorld : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces and BPF need root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    for (const auto& [name, mac] : {std::pair{"wan", packet::kPortMac}, {"lan", std::string_view("02:00:00:00:00:02")}})
      ASSERT_TRUE(shell("ip link add " + std::string(name) + " numrxqueues 1 numtxqueues 1 address " +
                        std::string(mac) + " type veth peer name " + name + "-peer numrxqueues 1 numtxqueues 1 && " +
                        "ip link set " + name + " up && ip link set " + name + "-peer up"));
  }

  XdpOptions options(uint32_t flows = 1024) const {
    return {.interfaces = {{.name = "wan", .mode = model::XdpMode::kNative},
                           {.name = "lan", .mode = model::XdpMode::kNative}},
            .folder = folder_.path() + "/xdp",
            .key = {1, 2},
            .flows = flows,
            .orphan_after_s = 60,
            .log = [this](std::string_view line) { log_ += std::string(line) + "\n"; }};
  }
  void start(uint32_t flows = 1024) { engine_ = must(XdpEngine::start(options(flows))); }
  void publish(std::shared_ptr<const model::Snapshot> snapshot) {
    const auto report = engine_->publish(snapshot);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->generation, snapshot->generation);
    EXPECT_TRUE(report->late.empty());
  }
  uint64_t counter(lb_counter id) const {
    uint64_t sum = 0;
    for (const model::WorkerCounters& w : engine_->workers()) sum += w.counters[id];
    return sum;
  }
  static packet::Bytes syn(uint16_t port) {
    return packet::eth().ip4("198.51.100.7", "192.0.2.60").tcp(port, 80).bytes();
  }

  RuntimeFolder folder_;
  mutable std::string log_;
  std::unique_ptr<XdpEngine> engine_;
};

}  // namespace lb::xdp::testing
