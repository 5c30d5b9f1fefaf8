// The kernel-side filters of a port: which frames are lbd's, and what is left when a process is killed.
#include "xdp/owned_filter.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "tests/packet/builder.h"
#include "tests/unit/dpdk/engine_process.h"
#include "xdp/owned_filter.skel.h"
#include "xdp/owned_set.h"

namespace lb::dpdk {
namespace {

using packet::eth;

net::Address address(std::string_view text) {
  auto parsed = net::Address::parse(text);
  EXPECT_TRUE(parsed);
  return *parsed;
}

// The program as loaded, run by the kernel on one frame. Queue 0 has no socket here: what is owned is dropped.
class OwnedProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: BPF";
    (void)xdp::owned_filter_factory();  // quiets libbpf
    skeleton_.reset(owned_filter_bpf__open());
    ASSERT_TRUE(skeleton_);
    const auto mac = packet::mac_bytes(packet::kPortMac);
    std::memcpy(const_cast<uint8_t*>(skeleton_->rodata->port_mac), mac.data(), mac.size());
    ASSERT_EQ(owned_filter_bpf__load(skeleton_.get()), 0);
    set_.emplace(bpf_map__fd(skeleton_->maps.owned));
    ASSERT_TRUE(set_->replace(std::array{address("192.0.2.10"), address("2001:db8::10")}));
  }
  bool is_owned(const packet::Bytes& frame) const {
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.data_in = frame.data();
    run.data_size_in = static_cast<uint32_t>(frame.size());
    EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.xsk_def_prog), &run), 0) << strerror(errno);
    EXPECT_TRUE(run.retval == XDP_PASS || run.retval == XDP_DROP);
    return run.retval == XDP_DROP;
  }
  bool is_owned(const packet::Packet& p) const { return is_owned(p.bytes()); }

  struct Delete {
    void operator()(owned_filter_bpf* s) const { owned_filter_bpf__destroy(s); }
  };
  std::unique_ptr<owned_filter_bpf, Delete> skeleton_;
  std::optional<xdp::OwnedSet> set_;
};

TEST_F(OwnedProgram, ToAnOwnedAddressOfBothFamilies) {
  EXPECT_TRUE(is_owned(eth().ip4("198.51.100.7", "192.0.2.10").tcp(1, 80)));
  EXPECT_TRUE(is_owned(eth().ip6("2001:db8:f::7", "2001:db8::10").udp(1, 53)));
  EXPECT_TRUE(is_owned(eth().ip4("198.51.100.7", "192.0.2.10").icmp(8)));
  EXPECT_TRUE(is_owned(eth().ip6("2001:db8:f::7", "2001:db8::10").icmp6(128)));
}

TEST_F(OwnedProgram, OtherAddressesAreTheKernels) {
  EXPECT_FALSE(is_owned(eth().ip4("192.0.2.10", "192.0.2.11").tcp(1, 80)));
  EXPECT_FALSE(is_owned(eth().ip6("2001:db8::10", "2001:db8::11").tcp(1, 80)));
}

TEST_F(OwnedProgram, BehindUpToTwoTags) {
  EXPECT_TRUE(is_owned(eth().vlan(5).ip4("198.51.100.7", "192.0.2.10").tcp(1, 80)));
  EXPECT_TRUE(is_owned(eth().vlan(5, 0x88a8).vlan(6).ip6("2001:db8:f::7", "2001:db8::10").tcp(1, 80)));
  EXPECT_FALSE(is_owned(eth().vlan(5).vlan(6).vlan(7).ip4("198.51.100.7", "192.0.2.10").tcp(1, 80)));
}

TEST_F(OwnedProgram, ToAnotherMacIsTheKernels) {
  EXPECT_FALSE(is_owned(eth("02:00:00:00:00:99").ip4("198.51.100.7", "192.0.2.10").tcp(1, 80)));
  EXPECT_FALSE(is_owned(eth("ff:ff:ff:ff:ff:ff").ip4("198.51.100.7", "192.0.2.10").udp(1, 80)));
}

TEST_F(OwnedProgram, NeighbourDiscoveryAndListenerDiscoveryAreTheKernels) {
  for (const int type : {130, 131, 132, 133, 134, 135, 136, 137, 143}) {
    const auto t = static_cast<uint8_t>(type);
    EXPECT_FALSE(is_owned(eth().ip6("2001:db8::1", "2001:db8::10").icmp6(t))) << type;
    EXPECT_FALSE(is_owned(eth().ip6("2001:db8::1", "2001:db8::10").extension(0).icmp6(t))) << type;
  }
}

TEST_F(OwnedProgram, FramesCutShortAreTheKernels) {
  const auto frame4 = eth().ip4("198.51.100.7", "192.0.2.10").tcp(1, 80).bytes();
  for (size_t size = 14; size < 34; size++)
    EXPECT_FALSE(is_owned(packet::Bytes(frame4.begin(), frame4.begin() + static_cast<ptrdiff_t>(size)))) << size;
  const auto frame6 = eth().vlan(1).ip6("2001:db8:f::7", "2001:db8::10").tcp(1, 80).bytes();
  for (size_t size = 14; size < 58; size++)
    EXPECT_FALSE(is_owned(packet::Bytes(frame6.begin(), frame6.begin() + static_cast<ptrdiff_t>(size)))) << size;
}

TEST_F(OwnedProgram, TheSetIsReplaced) {
  ASSERT_TRUE(set_->replace(std::array{address("192.0.2.10"), address("192.0.2.30")}));
  EXPECT_TRUE(is_owned(eth().ip4("198.51.100.7", "192.0.2.10").tcp(1, 80)));
  EXPECT_TRUE(is_owned(eth().ip4("198.51.100.7", "192.0.2.30").tcp(1, 80)));
  EXPECT_FALSE(is_owned(eth().ip6("2001:db8:f::7", "2001:db8::10").tcp(1, 80)));
  ASSERT_TRUE(set_->replace({}));
  EXPECT_FALSE(is_owned(eth().ip4("198.51.100.7", "192.0.2.10").tcp(1, 80)));
}

TEST_F(OwnedProgram, MoreAddressesThanTheMapTakesAreRefusedAndNothingChanges) {
  std::vector<net::Address> many;
  for (uint32_t i = 0; i <= 65536; i++) {
    const uint8_t bytes[4] = {10, static_cast<uint8_t>(i >> 16), static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    many.push_back(net::Address::from_ipv4(bytes));
  }
  const auto refused = set_->replace(many);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kInvalid);
  EXPECT_TRUE(is_owned(eth().ip4("198.51.100.7", "192.0.2.10").tcp(1, 80)));
  EXPECT_FALSE(is_owned(eth().ip4("198.51.100.7", "10.0.0.1").tcp(1, 80)));
}

// A process that attaches the clsact filter, for kernels without tcx, to lbd's interface and then waits.
class FilterProcess {
 public:
  explicit FilterProcess(const testing::Lab& lab)
      : process_(lab, [] {
          auto filter = xdp::attach_clsact("wan");
          if (!filter) return std::pair{"error: " + filter.error().message, std::function<void()>()};
          std::shared_ptr<model::OwnedFilter> kept = std::move(*filter);
          const net::Status set = kept->set_owned(std::array{address("192.0.2.10")});
          return std::pair{set ? kept->description() : set.error().message,
                           std::function<void()>([kept]() mutable { kept.reset(); })};
        }) {}
  const std::string& said() const { return process_.said(); }
  void kill() { process_.kill(); }

 private:
  testing::ChildInLab process_;
};

class ClsactFilter : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = testing::why_no_lab(); !why.empty()) GTEST_SKIP() << why;
  }
  static bool kernel_answers(int from) {
    char byte = 'x';
    (void)!send(from, &byte, 1, 0);
    return recv(from, &byte, 1, 0) < 0 && errno == ECONNREFUSED;
  }
};

TEST_F(ClsactFilter, OfAKilledProcessIsReplacedAndOfARunningOneIsBusy) {
  const testing::Lab lab(1, 1500);
  const int from = lab.udp_client();
  ASSERT_TRUE(kernel_answers(from));
  {
    FilterProcess first(lab);
    ASSERT_EQ(first.said(), "af_packet");
    EXPECT_FALSE(kernel_answers(from));
    FilterProcess second(lab);
    EXPECT_NE(second.said().find("wan is busy: process "), std::string::npos) << second.said();
    first.kill();
    EXPECT_FALSE(kernel_answers(from)) << "a clsact filter is expected to outlive its process";
    FilterProcess third(lab);
    ASSERT_EQ(third.said(), "af_packet");
    EXPECT_FALSE(kernel_answers(from));
  }
  EXPECT_TRUE(kernel_answers(from));
  close(from);
}

}  // namespace
}  // namespace lb::dpdk
