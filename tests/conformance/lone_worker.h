// A worker of the pipeline that gets one frame at a time, with all that belongs to one: flow table, fragments, answers,
// counters. Also the far end of the XDP program's exception path.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/worker_state.h"
#include "tests/conformance/conformance.h"

namespace lb::conformance {

// How a frame comes in, by port kWan.
struct Arrival {
  uint16_t headroom = kHeadroom;
  bool kernel_copy = false, exception_path = true;
};

// A frame in a buffer of its own that begins where its headroom begins and ends where it ends, ready for the pipeline.
class LoneFrame {
 public:
  LoneFrame(const packet::Bytes& frame, const Arrival& arrival);
  stages::Batch& batch() { return *batch_; }
  packet::Bytes bytes() const { return {batch_->data[0], batch_->data[0] + batch_->length[0]}; }
  bool is_inside() const;  // what leaves lies in the buffer

 private:
  std::unique_ptr<uint8_t[]> buffer_;
  size_t size_;
  std::unique_ptr<stages::Batch> batch_ = std::make_unique<stages::Batch>();
};

class LoneWorker {
 public:
  // own.count 0: no tracking. state: where it counts, when not in one of its own, which takes a while to make.
  LoneWorker(const stages::FlowTable& own, std::vector<stages::FlowTable> others,
             const stages::FragmentOptions& fragments = {}, std::shared_ptr<stages::WorkerState> state = {});
  LoneWorker(const LoneWorker&) = delete;
  LoneWorker& operator=(const LoneWorker&) = delete;

  void tick(uint64_t now_ms);
  // Counts its verdict, but not its arrival. Aborts when what leaves does not lie in its buffer.
  StepOutcome run(const packet::Bytes& frame, const model::Snapshot& snapshot, const Arrival& arrival);
  // As the XDP program does: what must be answered or split, or has other fragments, is left to the exception path.
  // run() then tells kNone of it and counts nothing but what the flow table did.
  void be_the_program();
  void set_egress(uint16_t port, bool on) { has_egress_[port] = on; }
  stages::WorkerState& state() { return *state_; }

 private:
  // Runs the first n of the batch. RETURNS: the frames that leave, and those that are punted, in order.
  std::vector<packet::Bytes> finish(stages::Batch& b, uint32_t n, const model::Snapshot& snapshot);
  std::vector<packet::Bytes> finish_split(stages::Batch& b, stages::Slot i, const model::Snapshot& snapshot);
  std::vector<packet::Bytes> go_on_with_woken(const model::Snapshot& snapshot, const Arrival& arrival);

  std::vector<stages::FlowTable> others_;
  std::shared_ptr<stages::WorkerState> state_;
  stages::FlowTracker flows_;
  stages::Fragments fragments_;
  stages::Answers answers_;
  stages::Belongings own_;
  bool is_program_ = false;
  std::array<bool, 2> has_egress_{true, true};
};

}  // namespace lb::conformance
