// The cases on the plain pipeline: every frame in a heap buffer that ends where the frame ends and begins where its
// headroom begins, so that AddressSanitizer sees a byte read or written outside.
#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/stages/count.h"
#include "dataplane/stages/pipeline.h"
#include "tests/conformance/conformance.h"
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
    stages::WorkerState worker;
    // Tracking must change nothing for flows whose pool does not change.
    property::TableMemory memory(16);
    stages::FlowTracker tracker(memory.view(), {}, worker.counters);
    tracker.tick(1'000'000, nullptr);
    const auto answers = std::make_unique<stages::Answers>();
    answers->tick(1'000'000);
    const stages::Belongings own{.flows = tracks_ ? &tracker : nullptr, .fragments = nullptr, .answers = answers.get()};
    Outcome out;
    for (const Step& step : c.steps) out.steps.push_back(run_step(step.in.bytes(), c.headroom, *snapshot, worker, own));
    for (size_t i = 0; i < LB_COUNT_MAX; i++) out.counters[i] = stages::peek(worker.counters[i]);
    out.services = worker.services;
    out.backends = worker.backends;
    return out;
  }

 private:
  StepOutcome run_step(const packet::Bytes& frame, uint16_t headroom, const model::Snapshot& snapshot,
                       stages::WorkerState& worker, const stages::Belongings& own) const {
    const auto buffer = std::make_unique<uint8_t[]>(headroom + frame.size());
    if (!frame.empty()) std::memcpy(buffer.get() + headroom, frame.data(), frame.size());
    auto batch = std::make_unique<stages::Batch>();
    const packet::Bytes mac = packet::mac_bytes(packet::kPortMac);
    std::copy(mac.begin(), mac.end(), batch->port_mac.begin());
    batch->kernel_copy = punts_ == Punts::kCopy;
    batch->exception_path = punts_ == Punts::kTwin;
    batch->data[0] = buffer.get() + headroom;
    batch->length[0] = static_cast<uint16_t>(frame.size());
    batch->headroom[0] = headroom;
    batch->start(1);
    stages::run(*batch, snapshot, own);
    stages::count(*batch, 1, frame.size(), worker);
    return {.verdict = batch->verdict[0],
            .reason = static_cast<Drop>(batch->reason[0]),
            .frame = packet::Bytes(batch->data[0], batch->data[0] + batch->length[0]),
            .egress = batch->egress[0]};
  }

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
