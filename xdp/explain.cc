#include "xdp/explain.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/model/counters.h"
#include "dataplane/model/explain_frame.h"
#include "dataplane/net/outer.h"
#include "xdp/interface.h"

namespace lb::xdp {
namespace {

// A page without the room in front of and behind a frame.
constexpr size_t kMostBytes = 3520;

struct Answer {
  lb_xdp_decision decision = {};
  std::vector<uint8_t> out;
};

net::Result<Answer> ask(const ExplainSetting& setting, const std::vector<uint8_t>& frame, bool ignore_flows) {
  lb_xdp_decision& decision = setting.maps.decision();
  decision = {};
  decision.ignore_flows = ignore_flows ? 1 : 0;
  Answer answer;
  answer.out.resize(frame.size() + LB_HEAD_MAX + LB_TAG_BYTES);
  bpf_test_run_opts run = {};
  run.sz = sizeof(run);
  run.data_in = frame.data();
  run.data_size_in = static_cast<uint32_t>(frame.size());
  run.data_out = answer.out.data();
  run.data_size_out = static_cast<uint32_t>(answer.out.size());
  if (bpf_prog_test_run_opts(setting.dry.fd(), &run) != 0) return bpf_error("asking the XDP program", errno);
  answer.decision = decision;
  answer.out.resize(run.data_size_out);
  return answer;
}

std::string_view verdict_name(uint32_t verdict) {
  switch (verdict) {
    case LB_XDP_FORWARDED:
      return "forwarded";
    case LB_XDP_PUNTED:
      return "punted";
    default:
      return "dropped";
  }
}

// What became of it, without how that was found.
void read_verdict(Answer answer, model::Explanation& e) {
  const lb_xdp_decision& d = answer.decision;
  e.verdict = verdict_name(d.verdict);
  e.reason = d.verdict == LB_XDP_DROPPED ? model::counter(static_cast<lb_counter>(d.reason)).name : "";
  e.port.reset();
  e.out.clear();
  e.out_bytes = 0;
  if (d.verdict != LB_XDP_FORWARDED) return;
  e.port = net::PortId(static_cast<uint16_t>(d.egress));
  e.out = std::move(answer.out);
  e.out_bytes = static_cast<uint32_t>(e.out.size()) - model::front_of(e.out).bytes;
}

model::Explanation read_out(const Answer& answer, const model::Snapshot& snapshot) {
  const lb_xdp_decision& d = answer.decision;
  model::Explanation e;
  e.generation = snapshot.generation;
  if (d.listener < snapshot.listener_names.size()) {
    e.listener = snapshot.listener_names[d.listener];
    if (d.service < snapshot.service_names.size()) e.service = snapshot.service_names[d.service];
  }
  if (d.slot != LB_NO_SERVICE) {
    e.hash = d.hash;
    e.slot = d.slot;
    if (d.backend != 0) e.backend = net::BackendId(static_cast<uint16_t>(d.backend));
  }
  read_verdict(answer, e);
  return e;
}

}  // namespace

net::Result<model::Explanation> explain(const model::ExplainRequest& request, const ExplainSetting& setting) {
  const auto frame = model::build_frame(request, setting.mac.bytes);
  if (!frame) return frame.error();
  if (frame->size() > kMostBytes)
    return net::Error{net::Code::kInvalid,
                      fmt::format("a packet of {} bytes: the XDP program gets at most {}, one page without the room "
                                  "around a frame",
                                  frame->size() - sizeof(lb_eth), kMostBytes - sizeof(lb_eth))};
  const auto alone = ask(setting, *frame, true);
  if (!alone) return alone.error();
  model::Explanation explanation = read_out(*alone, setting.snapshot);
  explanation.in_bytes = static_cast<uint32_t>(frame->size() - sizeof(lb_eth));
  if (!setting.is_tracking || !explanation.service) return explanation;
  auto tracked = ask(setting, *frame, false);
  if (!tracked) return tracked.error();
  const lb_xdp_decision& d = tracked->decision;
  if (d.tracked == LB_FLOW_FREE) return explanation;
  explanation.tracked = model::to_flow_class(d.tracked);
  explanation.chosen = explanation.backend;
  explanation.backend = net::BackendId(static_cast<uint16_t>(d.backend));
  read_verdict(std::move(*tracked), explanation);
  return explanation;
}

}  // namespace lb::xdp
