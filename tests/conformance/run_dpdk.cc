// The cases on the DPDK engine: a worker's thread, ports whose wires are rings in this process, no huge pages, no
// privileges. Verdicts are read off the worker's counters, one frame at a time; the bytes off the wire.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <thread>

#include "dataplane/dpdk/dpdk_engine.h"
#include "tests/conformance/conformance.h"
#include "tests/unit/dpdk/ring_port.h"

namespace lb::conformance {
namespace {

using namespace std::chrono_literals;

template <class T>
T must(net::Result<T> r) {
  if (r) return std::move(r).value();
  std::fprintf(stderr, "%s\n", r.error().message.c_str());
  std::abort();
}

// Rings have no kernel behind them.
class NoFilters : public model::OwnedFilterFactory {
 public:
  net::Result<std::unique_ptr<model::OwnedFilter>> attach_xdp(const std::string&) override { return none(); }
  net::Result<std::unique_ptr<model::OwnedFilter>> attach_tc(const std::string&) override { return none(); }

 private:
  static net::Error none() { return {net::Code::kUnsupported, "no kernel interface here"}; }
};

class DpdkRunner : public Runner {
 public:
  DpdkRunner()
      : buffers_(must(dpdk::Buffers::create("conformance", 1023, dpdk::kBufferRoom))),
        wan_("wan", 1, must(net::Mac::parse(packet::kPortMac))),
        lan_("lan", 1, must(net::Mac::parse("02:00:00:00:00:02"))) {
    model::Daemon daemon;
    daemon.workers = {0};
    daemon.idle = model::Idle::kSleep;
    daemon.ports = {{.name = "wan", .device = wan_.device(), .mtu = {}},
                    {.name = "lan", .device = lan_.device(), .mtu = {}}};
    engine_ = must(dpdk::DpdkEngine::start(daemon, dpdk::testing::test_eal(), filters_, [](std::string_view) {}));
  }

  std::string name() const override { return "DpdkEngine"; }
  Punts punts() const override { return Punts::kNowhere; }
  std::string why_not(const Case& c) const override {
    for (const Step& step : c.steps)
      if (c.headroom + step.in.bytes().size() > dpdk::kBufferRoom) return "the frame is larger than a packet buffer";
    return {};
  }

  Outcome run(const Case& c) override {
    must_publish(compile(*c.world));
    const uint32_t in_use = buffers_.in_use();
    const model::TrafficCounters traffic_before = engine_->traffic();
    const model::CounterArray before = counters();
    Outcome out;
    for (const Step& step : c.steps) out.steps.push_back(run_step(step, c.headroom));
    const model::CounterArray after = counters();
    for (size_t i = 0; i < LB_COUNT_MAX; i++) out.counters[i] = after[i] - before[i];
    const model::TrafficCounters traffic_after = engine_->traffic();
    out.services = difference(traffic_before.services, traffic_after.services);
    out.backends = difference(traffic_before.backends, traffic_after.backends);
    // What a case leaves behind must not be counted in the next one.
    EXPECT_TRUE(wait_for([&](const model::CounterArray& now) { return now[LB_COUNT_Held] == before[LB_COUNT_Held]; }))
        << "held fragments were not let go within 5 s";
    EXPECT_EQ(buffers_.in_use(), in_use) << "packet buffers leaked";
    return out;
  }

 private:
  void must_publish(std::shared_ptr<const model::Snapshot> snapshot) {
    const auto report = engine_->publish(std::move(snapshot));
    if (!report || !report->late.empty()) std::abort();
  }

  model::CounterArray counters() { return engine_->workers()[0].counters; }

  static std::vector<lb_traffic> difference(const std::vector<lb_traffic>& before,
                                            const std::vector<lb_traffic>& after) {
    std::vector<lb_traffic> d(after.size());
    for (size_t i = 0; i < d.size(); i++)
      d[i] = {after[i].packets - before[i].packets, after[i].bytes - before[i].bytes};
    return d;
  }

  static uint64_t grown(const model::CounterArray& before, const model::CounterArray& now, size_t counter) {
    return now[counter] - before[counter];
  }
  // Counters of a batch are written one after the other, and what a frame releases is a batch of its own: done when the
  // sum agrees, also while it goes on. (`held` may shrink: arithmetic modulo 2^64.)
  static bool settled(const model::CounterArray& before, const model::CounterArray& now) {
    uint64_t verdicts = 0;
    for (const size_t c : {LB_COUNT_Forwarded, LB_COUNT_Answered, LB_COUNT_Punted, LB_COUNT_Held})
      verdicts += grown(before, now, c);
    for (size_t i = LB_DROP_FIRST; i <= LB_DROP_LAST; i++) verdicts += grown(before, now, i);
    return verdicts == 1 && grown(before, now, LB_COUNT_RxPackets) == 1;
  }

  StepOutcome run_step(const Step& step, uint16_t headroom) {
    const model::CounterArray before = counters();
    if (!wan_.inject(buffers_, step.in.bytes(), 0, headroom)) std::abort();
    const auto now = wait_for([&](const model::CounterArray& c) { return settled(before, c); });
    if (!now) {
      ADD_FAILURE() << "the worker gave no verdict within 5 s";
      return {};
    }
    if (step.expect.released.empty()) return read_verdict(before, *now);
    // These come a moment later.
    const uint64_t held = before[LB_COUNT_Held] - step.expect.released.size();
    const auto later =
        wait_for([&](const model::CounterArray& c) { return c[LB_COUNT_Held] == held && settled(before, c); });
    return read_verdict(before, later ? *later : *now);
  }

  std::optional<model::CounterArray> wait_for(const std::function<bool(const model::CounterArray&)>& what) {
    const auto until = std::chrono::steady_clock::now() + 5s;
    for (;;) {
      const model::CounterArray now = counters();
      if (what(now)) return now;
      if (std::chrono::steady_clock::now() > until) return {};
      std::this_thread::yield();
    }
  }

  // Of the frame itself: what it released may have been forwarded, too, but never is it forwarded without a frame out.
  StepOutcome read_verdict(const model::CounterArray& before, const model::CounterArray& now) {
    StepOutcome out;
    if (grown(before, now, LB_COUNT_Punted) != 0) out.verdict = Verdict::kPunt;
    for (size_t i = LB_DROP_FIRST; i <= LB_DROP_LAST; i++)
      if (now[i] != before[i]) {
        out.verdict = Verdict::kDrop;
        out.reason = static_cast<Drop>(i);
      }
    if (grown(before, now, LB_COUNT_Held) == 1) out.verdict = Verdict::kHold;
    if (grown(before, now, LB_COUNT_Answered) != 0) out.verdict = Verdict::kAnswer;
    if (grown(before, now, LB_COUNT_Forwarded) != 0) out.verdict = Verdict::kForward;
    out.egress = lan_.waiting() > 0 ? kLan : kWan;
    for (auto* port : {&lan_, &wan_})
      while (auto frame = port->take()) out.frames.push_back(std::move(*frame));
    return out;
  }

  dpdk::Buffers buffers_;
  dpdk::testing::RingPort wan_, lan_;
  NoFilters filters_;
  std::unique_ptr<dpdk::DpdkEngine> engine_;
};

}  // namespace
}  // namespace lb::conformance

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  (void)lb::dpdk::testing::test_eal();
  lb::conformance::DpdkRunner runner;
  lb::conformance::register_tests(runner);
  return RUN_ALL_TESTS();
}
