// Runs a decapsulation program over one frame in the kernel (BPF_PROG_TEST_RUN), with settings of its own.
#pragma once

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <map>
#include <string>

#include "tests/packet/builder.h"
#include "xdp/decap_program.h"

namespace lb::xdp {

// The kernel runs a frame as if it came in on its loopback, whose address is zero; other frames are not for this host.
inline constexpr std::string_view kOwnMac = "00:00:00:00:00:00";
inline constexpr uint32_t kContinue = 0xffffffff;  // TC_ACT_UNSPEC
inline constexpr uint32_t kShot = 2;               // TC_ACT_SHOT

inline const char* const kLb4 = "203.0.113.2";
inline const char* const kLb6 = "2001:db8:f::2";
inline const char* const kSelf4 = "10.0.0.11";
inline const char* const kSelf6 = "2001:db8:1::11";
inline const char* const kVip4 = "192.0.2.10";
inline const char* const kVip6 = "2001:db8::10";
inline const char* const kClient4 = "198.51.100.7";
inline const char* const kClient6 = "2001:db8:c::7";

inline model::DecapSettings default_settings() {
  const auto address = [](const char* text) { return net::Address::parse(text).value(); };
  return {.from = {net::Prefix::parse("203.0.113.0/24").value(), net::Prefix::parse("2001:db8:f::/48").value()},
          .to = {address(kSelf4), address(kSelf6)},
          .vips = {address(kVip4), address(kVip6)},
          .mss = 0};
}

struct Ran {
  uint32_t verdict = 0;
  packet::Bytes bytes;
};

class DecapRun : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "loading BPF programs needs root";
    load(default_settings());
  }

  void load(const model::DecapSettings& settings) {
    auto program = DecapProgram::load(settings, Fd());
    ASSERT_TRUE(program) << program.error().message;
    program_ = std::make_unique<DecapProgram>(std::move(*program));
  }

  // gso_size: as of a packet that GRO merged.
  static Ran run_fd(int fd, const packet::Bytes& frame, uint32_t gso_size = 0) {
    Ran out{.verdict = 0, .bytes = packet::Bytes(frame.size() + 256)};
    __sk_buff context{};
    context.gso_size = gso_size;
    bpf_test_run_opts opts{};
    opts.sz = sizeof opts;
    opts.data_in = frame.data();
    opts.data_size_in = static_cast<uint32_t>(frame.size());
    opts.data_out = out.bytes.data();
    opts.data_size_out = static_cast<uint32_t>(out.bytes.size());
    opts.ctx_in = &context;
    opts.ctx_size_in = sizeof context;
    EXPECT_EQ(bpf_prog_test_run_opts(fd, &opts), 0) << strerror(errno) << "\n" << packet::describe(frame);
    out.verdict = opts.retval;
    out.bytes.resize(opts.data_size_out);
    return out;
  }
  Ran run(const packet::Bytes& frame, uint32_t gso_size = 0) { return run_fd(program_->ingress_fd(), frame, gso_size); }
  Ran run_egress(const packet::Bytes& frame) { return run_fd(program_->egress_fd(), frame); }

  std::vector<model::DecapCounter> all_counters() const {
    const auto info = program_info_of(program_->ingress_fd());
    EXPECT_TRUE(info);
    const auto all = read_decap_counters(*info);
    EXPECT_TRUE(all) << all.error().message;
    return *all;
  }

  // Those that are not zero.
  std::map<std::string, uint64_t> counters() const {
    std::map<std::string, uint64_t> out;
    for (const auto& c : all_counters())
      if (c.packets != 0) out.emplace(c.name, c.packets);
    return out;
  }

  std::unique_ptr<DecapProgram> program_;
};

using Counters = std::map<std::string, uint64_t>;

}  // namespace lb::xdp
