#include "tests/conformance/lone_worker.h"

#include <algorithm>
#include <cstring>

#include "dataplane/stages/count.h"

namespace lb::conformance {

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

LoneWorker::LoneWorker(const stages::FlowTable& own, std::vector<stages::FlowTable> others)
    : others_(std::move(others)), flows_(own, others_, state_->counters) {
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

StepOutcome LoneWorker::run(const packet::Bytes& frame, const model::Snapshot& snapshot, const Arrival& arrival) {
  LoneFrame lone(frame, arrival);
  stages::Batch& b = lone.batch();
  stages::run(b, snapshot, own_);
  const bool is_too_big =
      b.verdict[0] == Verdict::kSplit || (b.verdict[0] == Verdict::kDrop && b.reason[0] == LB_DROP_TooBig);
  if (is_program_ && is_too_big) return {};
  const bool leaves = b.verdict[0] == Verdict::kForward || b.verdict[0] == Verdict::kAnswer;
  if (leaves && !has_egress_[b.egress[0]]) b.drop(0, LB_DROP_TxFull);
  stages::count_verdicts(b, 1, *state_);
  StepOutcome out{
      .verdict = b.verdict[0], .reason = static_cast<Drop>(b.reason[0]), .frames = {}, .egress = b.egress[0]};
  if (out.verdict == Verdict::kForward || out.verdict == Verdict::kAnswer || out.verdict == Verdict::kPunt)
    out.frames.push_back(lone.bytes());
  return out;
}

}  // namespace lb::conformance
