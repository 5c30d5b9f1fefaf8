// The cases on the plain pipeline: every frame in a heap buffer that ends where the frame ends and begins where its
// headroom begins, so that AddressSanitizer sees a byte read or written outside.
#include <gtest/gtest.h>

#include "tests/conformance/lone_worker.h"
#include "tests/property/table_memory.h"

namespace lb::conformance {
namespace {

class PipelineRunner : public Runner {
 public:
  PipelineRunner(std::string name, Punts punts, bool tracks) : name_(std::move(name)), punts_(punts), tracks_(tracks) {}
  std::string name() const override { return name_; }
  Punts punts() const override { return punts_; }

  Outcome run(const Case& c) override {
    const auto snapshot = compile(*c.world);
    // Tracking must change nothing for flows whose pool does not change.
    property::TableMemory memory(16);
    LoneWorker worker(tracks_ ? memory.view() : stages::FlowTable{}, {});
    worker.tick(1'000'000);
    stages::WorkerState& state = worker.state();
    const Arrival arrival{
        .headroom = c.headroom, .kernel_copy = punts_ == Punts::kCopy, .exception_path = punts_ == Punts::kTwin};
    Outcome out;
    for (const Step& step : c.steps) {
      const packet::Bytes frame = step.in.bytes();
      stages::bump(state.counters[LB_COUNT_RxPackets], 1);
      stages::bump(state.counters[LB_COUNT_RxBytes], frame.size());
      out.steps.push_back(worker.run(frame, *snapshot, arrival));
    }
    for (size_t i = 0; i < LB_COUNT_MAX; i++) out.counters[i] = stages::peek(state.counters[i]);
    out.services = state.services;
    out.backends = state.backends;
    return out;
  }

 private:
  std::string name_;
  Punts punts_;
  bool tracks_;
};

}  // namespace
}  // namespace lb::conformance

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  using lb::conformance::Punts;
  lb::conformance::PipelineRunner with("Pipeline", Punts::kCopy, false), twin("PipelineWithTwin", Punts::kTwin, false),
      without("PipelineWithoutKernelCopy", Punts::kNowhere, false), tracking("PipelineWithFlows", Punts::kCopy, true);
  for (auto* runner : {&with, &twin, &without, &tracking}) lb::conformance::register_tests(*runner);
  return RUN_ALL_TESTS();
}
