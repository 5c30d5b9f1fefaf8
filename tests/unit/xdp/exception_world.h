// A network namespace of the test's own: lbd's interfaces wan0 and lan0 with the test at the other ends, wan1 and lan1.
// On wan0 a program that redirects every frame to the exception path. The snapshot is that of small_world.h.
#pragma once

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "redirect_all.skel.h"
#include "tests/packet/builder.h"
#include "tests/unit/dpdk/small_world.h"
#include "xdp/exception_path.h"

namespace lb::xdp::testing {

using dpdk::testing::must;
using dpdk::testing::small_snapshot;
using packet::Bytes;

inline constexpr const char* kLanMac = "02:00:00:00:00:02";
inline constexpr uint64_t kMark = 0x1122334455667788;

inline std::string why_no_world() {
  if (geteuid() != 0) return "network namespaces, TAP interfaces and BPF programs need root";
  if (access("/dev/net/tun", R_OK | W_OK) != 0) return "needs /dev/net/tun";
  return "";
}

inline bool shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

inline bool eventually(const std::function<bool()>& so) {
  for (int i = 0; i < 5000; i++) {
    if (so()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return so();
}

// Sends frames out of an interface, and gets those that it receives, but not those that it sends.
class Wire {
 public:
  explicit Wire(const char* ifname) : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    sockaddr_ll address = {};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(ifname));
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << ifname << strerror(errno);
    const int on = 1;
    EXPECT_EQ(setsockopt(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on), 0) << strerror(errno);
  }
  ~Wire() { close(fd_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void send(const Bytes& frame) const {
    EXPECT_EQ(::send(fd_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size())) << strerror(errno);
  }
  // The next frame to that destination; empty after 5 s, or at once with wait == false.
  Bytes next(const char* mac, bool wait = true) const {
    const Bytes wanted = packet::mac_bytes(mac);
    pollfd p = {.fd = fd_, .events = POLLIN, .revents = 0};
    Bytes frame;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (std::chrono::steady_clock::now() < end && poll(&p, 1, wait ? 5000 : 0) > 0) {
      frame.resize(16384);
      const ssize_t n = recv(fd_, frame.data(), frame.size(), 0);
      frame.resize(n > 0 ? static_cast<size_t>(n) : 0);
      if (frame.size() >= 14 && std::equal(wanted.begin(), wanted.end(), frame.begin())) return frame;
    }
    return {};
  }

 private:
  int fd_;
};

// What the engine would give.
struct Memory {
  static constexpr uint32_t kLines = 64;
  lb_xdp_worker worker{};
  std::vector<lb_traffic> services{LB_MAX_SERVICES}, backends{LB_MAX_BACKENDS + 1};
  std::vector<lb_flow_line> lines{kLines};
  std::vector<lb_flow_cold> cold{kLines * LB_FLOW_ENTRIES};
  stages::FlowHeartbeat heartbeat;

  stages::FlowTable table() {
    return {.lines = lines.data(), .cold = cold.data(), .count = kLines, .heartbeat = &heartbeat};
  }
  uint64_t counter(lb_counter what) const { return __atomic_load_n(&worker.counters[what], __ATOMIC_RELAXED); }
  uint64_t drops() const {
    uint64_t sum = 0;
    for (uint32_t c = LB_DROP_FIRST; c <= LB_DROP_LAST; c++) sum += counter(static_cast<lb_counter>(c));
    return sum;
  }
  uint64_t verdicts() const {
    return counter(LB_COUNT_Forwarded) + counter(LB_COUNT_Answered) + counter(LB_COUNT_Punted) + drops();
  }
};

class ExceptionWorld : public ::testing::TestWithParam<model::XdpMode> {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_world(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << strerror(errno);
    ASSERT_TRUE(
        shell("ip link set lo up && ip link add wan0 mtu 3000 type veth peer name wan1 mtu 3000 && "
              "ip link add lan0 mtu 3000 type veth peer name lan1 mtu 3000 && "
              "ip link set wan0 address " +
              std::string(packet::kPortMac) + " && ip link set lan0 address " + kLanMac +
              " && for i in wan0 wan1 lan0 lan1; do ip link set $i up; done && "
              "ip addr add 192.0.2.99/24 dev wan0 && ip route add 198.51.100.0/24 dev wan0"));
    wan_.emplace("wan1");
    lan_.emplace("lan1");
  }
  void TearDown() override { skeleton_.reset(); }

  bool generic() const { return GetParam() == model::XdpMode::kGeneric; }
  ExceptionOptions options() {
    const auto mac = [](std::string_view text) { return must(net::Mac::parse(text)); };
    return {.ports = {{.ifname = "wan0", .mac = mac(packet::kPortMac), .mode = GetParam()},
                      {.ifname = "lan0", .mac = mac(kLanMac), .mode = GetParam()}},
            .flow_table = memory_.table(),
            .worker = &memory_.worker,
            .services = memory_.services.data(),
            .backends = memory_.backends.data(),
            .given_back = kMark};
  }
  void attach() {
    skeleton_.reset(redirect_all_bpf__open());
    ASSERT_TRUE(skeleton_);
    skeleton_->rodata->given_back = generic() ? kMark : 0;
    ASSERT_EQ(redirect_all_bpf__load(skeleton_.get()), 0) << strerror(errno);
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(if_nametoindex("wan0")), bpf_program__fd(skeleton_->progs.redirect_all),
                             generic() ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE, nullptr),
              0)
        << strerror(errno);
  }
  void show_tap(int index) {
    const uint32_t port = 0;
    ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.lb_exception), &port, &index, 0), 0) << strerror(errno);
  }
  void start(bool with_snapshot = true) {
    auto path = ExceptionPath::start(options());
    ASSERT_TRUE(path) << path.error().message;
    path_ = std::move(*path);
    if (with_snapshot) path_->set_snapshot(small_snapshot(7));
    attach();
    show_tap(path_->tap_index(net::PortId{0}));
  }
  // Until so many were counted under a verdict.
  bool judged(uint64_t packets) {
    return eventually([&] { return memory_.verdicts() == packets; });
  }

  Memory memory_;
  std::optional<Wire> wan_, lan_;
  std::unique_ptr<redirect_all_bpf, void (*)(redirect_all_bpf*)> skeleton_{nullptr, redirect_all_bpf__destroy};
  std::unique_ptr<ExceptionPath> path_;
};

}  // namespace lb::xdp::testing
