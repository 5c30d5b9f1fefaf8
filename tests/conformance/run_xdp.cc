// The cases on the XDP program, run by the kernel; and what its maps and modes are for besides.
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <cstdio>

#include "dataplane/stages/count.h"
#include "tests/conformance/lone_worker.h"
#include "tests/conformance/xdp_rig.h"

namespace lb::conformance {
namespace {

class XdpRunner : public Runner {
 public:
  std::string name() const override { return "XdpProgram"; }
  Punts punts() const override { return Punts::kTwin; }
  std::string why_not(const Case& c) const override {
    if (std::string why = why_no_xdp(); !why.empty()) return why;
    if (c.headroom != kHeadroom) return "how much room is in front of a frame is the driver's matter";
    for (const Step& step : c.steps)
      if (const size_t n = step.in.bytes().size(); n < kLeastXdpFrame || n > kMostXdpFrame)
        return "the kernel runs no XDP program on a frame of " + std::to_string(n) + " bytes";
    return {};
  }

  Outcome run(const Case& c) override {
    if (!rig_) rig_ = std::make_unique<XdpRig>(XdpShape{});
    if (world_ != c.world) {
      world_ = c.world;
      snapshot_ = compile(*c.world);
      rig_->publish(snapshot_);
    }
    rig_->clear();
    exception_ = std::make_unique<LoneWorker>(rig_->table(1), std::vector{rig_->table(0)});
    exception_->tick(1'000'000);
    rig_->set_clock(1'000'000);
    Outcome out;
    for (const Step& step : c.steps) out.steps.push_back(run_step(step.in.bytes(), *snapshot_));
    merge(out);
    return out;
  }

 private:
  static void expect_action(const XdpRun& r) {
    const uint32_t sent = r.decision.egress == kWan ? XDP_TX : XDP_REDIRECT;
    const uint32_t want = r.decision.verdict == LB_XDP_FORWARDED    ? sent
                          : r.decision.verdict == LB_XDP_PUNTED     ? uint32_t{XDP_PASS}
                          : r.decision.verdict == LB_XDP_HANDED_OUT ? uint32_t{XDP_REDIRECT}
                                                                    : uint32_t{XDP_DROP};
    EXPECT_EQ(want, r.action);
  }

  StepOutcome run_step(const packet::Bytes& frame, const model::Snapshot& snapshot) {
    XdpRun r = rig_->run(frame);
    expect_action(r);
    EXPECT_EQ(r.decision.generation, net::raw(snapshot.generation));
    if (r.decision.verdict == LB_XDP_HANDED_OUT) {
      EXPECT_EQ(packet::difference(frame, r.frame), "") << "handed out, but not as it came";
      stages::bump(exception_->state().counters[LB_COUNT_HandedIn], 1);
      return exception_->run(r.frame, snapshot, {});
    }
    return outcome_of(r);
  }

  // Both sides of the exception path as one engine: what was handed out came in again.
  void merge(Outcome& out) {
    out.counters = rig_->counters();
    out.services = rig_->services();
    out.backends = rig_->backends();
    EXPECT_EQ(out.counters[LB_COUNT_HandedOut], stages::peek(exception_->state().counters[LB_COUNT_HandedIn]));
    for (size_t i = 0; i < LB_COUNT_MAX; i++) out.counters[i] += stages::peek(exception_->state().counters[i]);
    out.counters[LB_COUNT_HandedOut] = out.counters[LB_COUNT_HandedIn] = 0;
    add(out.services, exception_->state().services);
    add(out.backends, exception_->state().backends);
  }
  static void add(std::vector<lb_traffic>& to, const std::vector<lb_traffic>& more) {
    for (size_t i = 0; i < to.size() && i < more.size(); i++) {
      to[i].packets += more[i].packets;
      to[i].bytes += more[i].bytes;
    }
  }

  std::unique_ptr<XdpRig> rig_;
  const World* world_ = nullptr;  // that was published last
  std::shared_ptr<const model::Snapshot> snapshot_;
  std::unique_ptr<LoneWorker> exception_;
};

// Every packet's path is among what the verifier walks: a jump here is a program that some kernel may refuse, or a slow
// one. Raise it with the reason in the commit. Linux 6.18 walks about 150,000 of the 1,000,000 it allows.
constexpr uint32_t kVerifierBudget = 200'000;

TEST(XdpProgram, StaysUnderTheVerifierBudget) {
  if (const std::string why = why_no_xdp(); !why.empty()) GTEST_SKIP() << why;
  const uint32_t verified = XdpRig(XdpShape{}, LB_XDP_FORWARD).verified_instructions();
  std::printf("lbd_balance: %u instructions verified, budget %u\n", verified, kVerifierBudget);
  if (verified == 0) GTEST_SKIP() << "this kernel does not tell how many instructions it verified";
  EXPECT_LE(verified, kVerifierBudget);
}

}  // namespace
}  // namespace lb::conformance

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  lb::conformance::XdpRunner runner;
  lb::conformance::register_tests(runner);
  return RUN_ALL_TESTS();
}
