#include "tests/conformance/lone_worker.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "dataplane/stages/count.h"
#include "dataplane/stages/split.h"

namespace lb::conformance {
namespace {

bool is_too_big(const stages::Batch& b) {
  return b.verdict[0] == Verdict::kSplit || (b.verdict[0] == Verdict::kDrop && b.reason[0] == LB_DROP_TooBig);
}

}  // namespace

LoneFrame::LoneFrame(const packet::Bytes& frame, const Arrival& arrival)
    : buffer_(std::make_unique<uint8_t[]>(arrival.headroom + frame.size())), size_(arrival.headroom + frame.size()) {
  if (!frame.empty()) std::memcpy(buffer_.get() + arrival.headroom, frame.data(), frame.size());
  const packet::Bytes mac = packet::mac_bytes(packet::kPortMac);
  std::copy(mac.begin(), mac.end(), batch_->port_mac.begin());
  batch_->ingress = kWan;
  batch_->kernel_copy = arrival.kernel_copy;
  batch_->exception_path = arrival.exception_path;
  batch_->data[0] = buffer_.get() + arrival.headroom;
  batch_->length[0] = static_cast<uint16_t>(frame.size());
  batch_->headroom[0] = arrival.headroom;
  batch_->start(1);
}

bool LoneFrame::is_inside() const {
  return batch_->data[0] >= buffer_.get() && batch_->data[0] + batch_->length[0] <= buffer_.get() + size_ &&
         batch_->headroom[0] == batch_->data[0] - buffer_.get();
}

LoneWorker::LoneWorker(const stages::FlowTable& own, std::vector<stages::FlowTable> others,
                       const stages::FragmentOptions& fragments, std::shared_ptr<stages::WorkerState> state)
    : others_(std::move(others)),
      state_(state != nullptr ? std::move(state) : std::make_shared<stages::WorkerState>()),
      flows_(own, others_, state_->counters),
      fragments_(state_->counters, fragments) {
  own_ = {.flows = own.count > 0 ? &flows_ : nullptr, .fragments = &fragments_, .answers = &answers_};
}

void LoneWorker::tick(uint64_t now_ms) {
  if (own_.flows != nullptr) flows_.tick(now_ms, nullptr);
  fragments_.tick(now_ms);
  answers_.tick(now_ms);
}

void LoneWorker::be_the_program() {
  is_program_ = true;
  own_.fragments = nullptr;
  own_.answers = nullptr;
}

std::vector<packet::Bytes> LoneWorker::finish_split(stages::Batch& b, stages::Slot i, const model::Snapshot& snapshot) {
  std::vector<packet::Bytes> pieces;
  if (!has_egress_[b.egress[i]]) {
    b.drop(i, LB_DROP_TxFull);
    return pieces;
  }
  size_t bytes = 0;
  stages::Split split(b, i, snapshot);
  while (const uint32_t length = split.frame_bytes()) {
    pieces.emplace_back(length);
    split.write(pieces.back().data());
    bytes += length;
  }
  stages::bump(state_->counters[LB_COUNT_PiecesSent], pieces.size());
  b.forward(i, b.egress[i]);
  b.length[i] = static_cast<uint16_t>(std::min<size_t>(bytes, UINT16_MAX));
  return pieces;
}

std::vector<packet::Bytes> LoneWorker::finish(stages::Batch& b, uint32_t n, const model::Snapshot& snapshot) {
  stages::run(b, snapshot, own_);
  std::vector<packet::Bytes> out;
  if (is_program_ && is_too_big(b)) return out;
  for (stages::Slot i = 0; i < n; i++) {
    const bool leaves = b.verdict[i] == Verdict::kForward || b.verdict[i] == Verdict::kAnswer;
    if (b.verdict[i] == Verdict::kSplit)
      for (packet::Bytes& piece : finish_split(b, i, snapshot)) out.push_back(std::move(piece));
    else if (leaves && !has_egress_[b.egress[i]])
      b.drop(i, LB_DROP_TxFull);
    else if (leaves || b.verdict[i] == Verdict::kPunt)
      out.emplace_back(b.data[i], b.data[i] + b.length[i]);
  }
  stages::count_verdicts(b, n, *state_);
  return out;
}

// Each in a buffer of its own, as run()'s frame is.
std::vector<packet::Bytes> LoneWorker::go_on_with_woken(const model::Snapshot& snapshot, const Arrival& arrival) {
  std::vector<packet::Bytes> out;
  while (fragments_.has_woken()) {
    LoneFrame lone({}, arrival);
    stages::Batch& b = lone.batch();
    std::vector<std::unique_ptr<uint8_t[]>> buffers;
    const uint32_t n = fragments_.release(b, [&](stages::Slot i, uint16_t bytes) {
      buffers.push_back(std::make_unique<uint8_t[]>(size_t{arrival.headroom} + bytes));
      b.headroom[i] = arrival.headroom;
      return buffers.back().get() + arrival.headroom;
    });
    for (packet::Bytes& frame : finish(b, n, snapshot)) out.push_back(std::move(frame));
  }
  return out;
}

StepOutcome LoneWorker::run(const packet::Bytes& frame, const model::Snapshot& snapshot, const Arrival& arrival) {
  LoneFrame lone(frame, arrival);
  stages::Batch& b = lone.batch();
  StepOutcome out;
  out.frames = finish(b, 1, snapshot);
  if (is_program_ && is_too_big(b)) return {};
  out.verdict = b.verdict[0];
  const bool leaves = out.verdict == Verdict::kForward || out.verdict == Verdict::kAnswer;
  if (leaves && b.splits == 0 && !lone.is_inside()) std::abort();
  out.reason = static_cast<Drop>(b.reason[0]);
  out.egress = b.egress[0];
  for (packet::Bytes& more : go_on_with_woken(snapshot, arrival)) out.frames.push_back(std::move(more));
  return out;
}

}  // namespace lb::conformance
