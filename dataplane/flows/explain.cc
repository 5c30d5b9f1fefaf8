#include "dataplane/flows/explain.h"

#include <cstring>
#include <memory>

#include "dataplane/flows/flow_clock.h"
#include "dataplane/model/counters.h"
#include "dataplane/model/explain_frame.h"
#include "dataplane/net/headers.h"
#include "dataplane/stages/pipeline.h"

namespace lb::flows {
namespace {

constexpr size_t kRoom = 128;  // in front, as in a packet buffer

std::string_view verdict_name(stages::Verdict v) {
  switch (v) {
    case stages::Verdict::kForward:
      return "forwarded";
    case stages::Verdict::kPunt:
      return "punted";
    case stages::Verdict::kSplit:
      return "split";
    case stages::Verdict::kAnswer:
      return "answered";
    case stages::Verdict::kHold:
    case stages::Verdict::kDrop:
    case stages::Verdict::kNone:
      break;
  }
  return "dropped";
}

// What the packet's sender gets: the frame is that.
void read_answer(const stages::Batch& b, model::Explanation& e) {
  const uint8_t* const l4 = b.data[0] + sizeof(lb_eth) + (b.meta[0].family == 4 ? sizeof(lb_ipv4) : sizeof(lb_ipv6));
  if (b.reason[0] == LB_DROP_TooBig) {
    e.answer = b.meta[0].family == 4 ? "fragmentation needed" : "packet too big";
    e.answer_mtu = lb_load_be32(l4 + offsetof(lb_icmp, rest));
  } else if (b.reason[0] == LB_DROP_NoListener) {
    e.answer = b.meta[0].proto == LB_PROTO_TCP ? "reset" : "port unreachable";
  }
}

model::Explanation read_out(const stages::Batch& b, const stages::Trace& trace, const model::Snapshot& snapshot) {
  model::Explanation e;
  const stages::Meta& meta = b.meta[0];
  e.generation = snapshot.generation;
  e.verdict = verdict_name(b.verdict[0]);
  const bool answered = b.verdict[0] == stages::Verdict::kAnswer;
  if (answered || b.verdict[0] == stages::Verdict::kDrop)
    e.reason = model::counter(static_cast<lb_counter>(b.reason[0])).name;
  if (answered) read_answer(b, e);
  if (trace.listener < snapshot.listener_names.size()) {
    e.listener = snapshot.listener_names[trace.listener];
    if (meta.service < snapshot.service_names.size()) e.service = snapshot.service_names[meta.service];
  }
  if (trace.slot != UINT32_MAX) {
    e.hash = trace.hash;
    e.slot = trace.slot;
    if (meta.backend != 0) e.backend = net::BackendId(meta.backend);
  }
  if (b.verdict[0] == stages::Verdict::kForward || answered) {
    e.port = net::PortId(b.egress[0]);
    e.out.assign(b.data[0], b.data[0] + b.length[0]);
    e.out_bytes = b.length[0] - model::front_of(e.out).bytes;
  }
  return e;
}

// A batch of one packet in memory of its own.
class Asked {
 public:
  Asked(const std::vector<uint8_t>& frame, const ExplainPort& port) : memory_(kRoom + frame.size()) {
    memcpy(memory_.data() + kRoom, frame.data(), frame.size());
    batch_->data[0] = memory_.data() + kRoom;
    batch_->length[0] = static_cast<uint16_t>(frame.size());
    batch_->headroom[0] = kRoom;
    batch_->port_mac = port.mac;
    batch_->kernel_copy = port.kernel_copy;
    batch_->exception_path = port.exception_path;
    batch_->trace = trace_;
    batch_->start(1);
  }
  stages::Batch& batch() { return *batch_; }
  const stages::Trace& trace() const { return trace_[0]; }

 private:
  std::vector<uint8_t> memory_;
  std::unique_ptr<stages::Batch> batch_ = std::make_unique<stages::Batch>();
  stages::Trace trace_[stages::kBatch] = {};
};

// What the flow's entry makes of the answer that the table alone gave.
void overlay(model::Explanation& e, const stages::Batch& b, uint32_t tracked, const model::Snapshot& snapshot) {
  const model::Explanation flow = read_out(b, {}, snapshot);
  e.tracked = model::to_flow_class(tracked);
  e.chosen = e.backend;
  e.backend = net::BackendId(b.meta[0].backend);
  e.verdict = flow.verdict;
  e.reason = flow.reason;
  e.answer = flow.answer;
  e.answer_mtu = flow.answer_mtu;
  e.port = flow.port;
  e.out = flow.out;
  e.out_bytes = flow.out_bytes;
}

model::Explanation explain_frame(const std::vector<uint8_t>& frame, const model::Snapshot& snapshot,
                                 const ExplainPort& port, std::span<const stages::FlowTable> flows) {
  const auto answers = std::make_unique<stages::Answers>();  // the limits of nobody
  Asked asked(frame, port);
  stages::run(asked.batch(), snapshot, {.flows = nullptr, .fragments = nullptr, .answers = answers.get()});
  model::Explanation explanation = read_out(asked.batch(), asked.trace(), snapshot);
  explanation.in_bytes = static_cast<uint32_t>(frame.size() - sizeof(lb_eth));
  if (flows.empty() || !explanation.service) return explanation;
  Asked again(frame, port);
  const uint32_t tracked = stages::run_dry(again.batch(), snapshot, flows, flow_clock_ms(), answers.get());
  if (tracked != LB_FLOW_FREE) overlay(explanation, again.batch(), tracked, snapshot);
  return explanation;
}

}  // namespace

net::Result<model::Explanation> explain(const model::ExplainRequest& request, const model::Snapshot& snapshot,
                                        const ExplainPort& port, std::span<const stages::FlowTable> flows) {
  const auto frame = model::build_frame(request, port.mac);
  if (!frame) return frame.error();
  model::Explanation explanation = explain_frame(*frame, snapshot, port, flows);
  if (explanation.answer != "fragmentation needed") return explanation;
  model::ExplainRequest other = request;
  other.may_fragment = true;
  const auto second = model::build_frame(other, port.mac);
  if (!second) return second.error();
  explanation.without_df = explain_frame(*second, snapshot, port, flows).verdict;
  return explanation;
}

}  // namespace lb::flows
