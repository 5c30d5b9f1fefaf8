// An XDP engine in this process, on veth pairs in a network namespace of the test's own; packets come in by running the
// attached program over them (BPF_PROG_TEST_RUN), which counts and tracks as real ones do.
#pragma once

#include <net/if.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "tests/packet/builder.h"
#include "tests/unit/dpdk/small_world.h"
#include "tests/unit/xdp/life.h"
#include "xdp/lb_abi.h"
#include "xdp/xdp_engine.h"

namespace lb::xdp {

using dpdk::testing::must;
using dpdk::testing::small_snapshot;

struct Ran {
  uint32_t action = 0;  // XDP_...
  packet::Bytes out;
};

// The program that is on the interface now; invalid: none is.
inline Fd attached_program_of(const std::string& ifname) {
  const auto index = static_cast<int>(if_nametoindex(ifname.c_str()));
  for (__u32 id = 0; bpf_xdp_query_id(index, 0, &id) == 0 && id != 0;)
    if (Fd program(bpf_prog_get_fd_by_id(id)); program.valid() || errno != ENOENT) return program;
  return Fd();  // ENOENT: it was replaced in between
}

// A frame through it.
inline Ran run_attached(const std::string& ifname, const packet::Bytes& frame) {
  Ran ran{.action = XDP_ABORTED, .out = packet::Bytes(frame.size() + 256)};
  const Fd program = attached_program_of(ifname);
  if (!program.valid()) return ran;
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

class EngineWorld : public Life {
 protected:
  void SetUp() override {
    Life::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_TRUE(shell("sysctl -w net.ipv6.conf.default.disable_ipv6=1"));  // the kernel would send by itself
    for (const auto& [name, mac] : {std::pair{"wan", packet::kPortMac}, {"lan", std::string_view("02:00:00:00:00:02")}})
      ASSERT_TRUE(shell("ip link add " + std::string(name) + " numrxqueues 1 numtxqueues 1 address " +
                        std::string(mac) + " type veth peer name " + name + "-peer numrxqueues 1 numtxqueues 1 && " +
                        "ip link set " + name + " up && ip link set " + name + "-peer up"));
  }
  void TearDown() override {
    engine_.reset();
    Life::TearDown();
  }

  XdpOptions options(uint32_t flows = 1024) {
    return {.interfaces = {{.name = "wan", .mode = model::XdpMode::kNative},
                           {.name = "lan", .mode = model::XdpMode::kNative}},
            .folder = folder(),
            .key = {1, 2},
            .flows = flows,
            .orphan_after_s = 60,
            .log = log()};
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

  // Waits for another thread, or for time to pass.
  static bool eventually(const std::function<bool()>& happened) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!happened()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  }
  static packet::Bytes ack(uint16_t port) {
    return packet::eth().ip4("198.51.100.7", "192.0.2.60").tcp(port, 80, {.flags = 0x10}).bytes();
  }

  std::unique_ptr<XdpEngine> engine_;
};

}  // namespace lb::xdp
