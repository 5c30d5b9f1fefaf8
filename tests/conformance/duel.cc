#include "tests/conformance/duel.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/model/counters.h"
#include "dataplane/stages/count.h"
#include "tests/conformance/exception_part.h"

namespace lb::conformance {
namespace {

constexpr uint64_t kStart = 50'000'000;
constexpr uint32_t kLines = 8;  // of each table: few, so that flows are evicted all the time
constexpr stages::FragmentOptions kFragments = {.datagrams = 16, .held = 12, .held_bytes = 2048, .held_each = 4};

std::string name_of(const StepOutcome& o) {
  if (o.verdict == Verdict::kForward) return "forwarded by port " + std::to_string(o.egress);
  if (o.verdict == Verdict::kPunt) return "punted";
  if (o.verdict == Verdict::kAnswer) return "answered";
  if (o.verdict == Verdict::kHold) return "held";
  if (o.verdict != Verdict::kDrop) return "no verdict";
  const auto id = static_cast<lb_counter>(o.reason);
  return id < LB_COUNT_MAX ? "dropped " + std::string(model::counter(id).name) : "dropped, reason unknown";
}

std::string compare_outcomes(const StepOutcome& pipeline, const StepOutcome& program) {
  if (name_of(pipeline) != name_of(program)) return "pipeline: " + name_of(pipeline) + ", program: " + name_of(program);
  if (pipeline.frames.size() != program.frames.size())
    return "frames out: " + std::to_string(pipeline.frames.size()) + " and " + std::to_string(program.frames.size());
  for (size_t i = 0; i < pipeline.frames.size(); i++)
    if (std::string d = packet::difference(pipeline.frames[i], program.frames[i]); !d.empty()) return d;
  return {};
}

uint32_t action_of(const StepOutcome& o) {
  if (o.verdict == Verdict::kForward) return o.egress == kWan ? XDP_TX : XDP_REDIRECT;
  return o.verdict == Verdict::kPunt ? XDP_PASS : XDP_DROP;
}

std::string compare(const char* what, const stages::FlowTable& pipeline, const stages::FlowTable& program) {
  for (uint32_t i = 0; i < kLines; i++)
    if (std::memcmp(&pipeline.lines[i], &program.lines[i], sizeof(lb_flow_line)) != 0)
      return std::string("flow table of ") + what + ": line " + std::to_string(i);
  for (uint32_t i = 0; i < kLines * LB_FLOW_ENTRIES; i++)
    if (std::memcmp(&pipeline.cold[i], &program.cold[i], sizeof(lb_flow_cold)) != 0)
      return std::string("flow table of ") + what + ": record " + std::to_string(i);
  return {};
}

std::string compare(const char* what, const std::vector<lb_traffic>& pipeline, const std::vector<lb_traffic>& program) {
  for (size_t i = 0; i < std::min(pipeline.size(), program.size()); i++)
    if (std::memcmp(&pipeline[i], &program[i], sizeof(lb_traffic)) != 0)
      return std::string(what) + " " + std::to_string(i) + ": packets " + std::to_string(pipeline[i].packets) +
             " and " + std::to_string(program[i].packets) + ", bytes " + std::to_string(pipeline[i].bytes) + " and " +
             std::to_string(program[i].bytes);
  return {};
}

}  // namespace

Duel::Duel(std::vector<std::shared_ptr<const model::Snapshot>> snapshots, bool is_shared)
    : snapshots_(std::move(snapshots)),
      rig_({.lines = kLines, .former_workers = 1, .former_lines = kLines, .is_shared = is_shared}),
      memory_{property::TableMemory(kLines), property::TableMemory(kLines), property::TableMemory(kLines)} {
  restart();
}

void Duel::restart() {
  const std::vector<lb_flow_line> former = memory_[2].lines;
  rig_.clear();
  std::copy(former.begin(), former.end(), rig_.former().lines);
  for (uint32_t w = 0; w < 2; w++) memory_[w] = property::TableMemory(kLines);
  stages::FlowTable former_table = memory_[2].view();
  former_table.former = true;
  plain_ = std::make_unique<LoneWorker>(memory_[0].view(), std::vector{memory_[1].view(), former_table});
  plain_->be_the_program();
  exception_ =
      std::make_unique<LoneWorker>(memory_[1].view(), std::vector{memory_[0].view(), former_table}, kFragments);
  sweep_ = std::make_unique<LoneWorker>(rig_.table(0), std::vector<stages::FlowTable>{});
  far_end_ = std::make_unique<LoneWorker>(rig_.table(1), std::vector{rig_.table(0), rig_.former()}, kFragments);
  now_ms_ = kStart;
  rig_.set_start(now_ms_);
  tick();
  for (const Event::Kind kind : {Event::Kind::kEgress, Event::Kind::kExceptionPath}) play({.kind = kind, .value = 1});
  play({.kind = Event::Kind::kSnapshot});
}

void Duel::keep_former() {
  memory_[2].lines = memory_[0].lines;
}

// lbd marks what has timed out in former tables, too, so that nobody need ask how old they are.
void Duel::tick() {
  rig_.set_clock(now_ms_);
  memory_[2].heartbeat.now_ms = rig_.former().heartbeat->now_ms = now_ms_;
  for (LoneWorker* w : {plain_.get(), exception_.get(), sweep_.get(), far_end_.get()}) w->tick(now_ms_);
}

std::string Duel::play(const Event& e) {
  switch (e.kind) {
    case Event::Kind::kFrame:
      return play_frame(e.frame);
    case Event::Kind::kTime:
      now_ms_ += e.value;
      tick();
      break;
    case Event::Kind::kSnapshot: {
      if (snapshot_ == snapshots_[e.value]) break;
      snapshot_ = snapshots_[e.value];
      rig_.publish(snapshot_);
      const auto owned = model::owned_addresses(*snapshot_);
      owned_ = {owned.begin(), owned.end()};
      break;
    }
    case Event::Kind::kEgress:
      has_egress_ = e.value != 0;
      rig_.set_egress(kLan, has_egress_);
      plain_->set_egress(kLan, has_egress_);
      break;
    case Event::Kind::kExceptionPath:
      has_exception_path_ = e.value != 0;
      rig_.set_exception_path(has_exception_path_);
      break;
  }
  return compare_tables();
}

// What the program leaves to the exception path before it looks for a flow.
bool Duel::is_handed_out(const packet::Bytes& frame) {
  if (is_for_exception_path(frame, owned_)) return true;
  LoneFrame probe(frame, {});
  stages::Batch& b = probe.batch();
  stages::run(b, *snapshot_, nullptr);
  if (b.verdict[0] != Verdict::kDrop || b.reason[0] != LB_DROP_NoListener) return false;
  return (snapshot_->addresses[b.meta[0].address].flags & LB_ADDR_REJECT) != 0;
}

StepOutcome Duel::run_exception(const packet::Bytes& frame, LoneWorker& worker) {
  stages::bump(worker.state().counters[LB_COUNT_HandedIn], 1);
  return worker.run(frame, *snapshot_, {});
}

std::string Duel::play_frame(const packet::Bytes& frame) {
  const XdpRun r = rig_.run(frame);
  StepOutcome pipeline, program = outcome_of(r);
  uint64_t* const counters = plain_->state().counters;
  stages::bump(counters[LB_COUNT_RxPackets], 1);
  stages::bump(counters[LB_COUNT_RxBytes], frame.size());
  if (!is_handed_out(frame)) pipeline = plain_->run(frame, *snapshot_, {});
  if (pipeline.verdict == Verdict::kNone && has_exception_path_) {
    if (r.decision.verdict != LB_XDP_HANDED_OUT || r.action != XDP_REDIRECT) return "it was not handed out";
    stages::bump(counters[LB_COUNT_HandedOut], 1);
    pipeline = run_exception(frame, *exception_);
    program = run_exception(r.frame, *far_end_);
  } else if (pipeline.verdict == Verdict::kNone) {
    stages::bump(counters[LB_COUNT_NoExceptionPath], 1);
    pipeline = {.verdict = Verdict::kDrop, .reason = LB_DROP_NoExceptionPath, .frames = {}};
  }
  for (std::string different : {compare_outcomes(pipeline, program), compare_counters(), compare_tables()})
    if (!different.empty()) return different;
  return r.decision.verdict == LB_XDP_HANDED_OUT || r.action == action_of(pipeline)
             ? ""
             : "the program's answer is " + std::to_string(r.action);
}

std::string Duel::compare_counters() {
  for (size_t i = 0; i < LB_COUNT_MAX; i++) {
    const uint64_t want[] = {plain_->state().counters[i], exception_->state().counters[i]};
    const uint64_t got[] = {rig_.maps().workers()[0].counters[i], far_end_->state().counters[i]};
    for (size_t w = 0; w < 2; w++)
      if (want[w] != got[w])
        return "counter " + std::string(model::counter(static_cast<lb_counter>(i)).name) + " of " +
               (w == 0 ? "the worker" : "the exception path") + ": pipeline " + std::to_string(want[w]) + ", program " +
               std::to_string(got[w]);
  }
  return {};
}

std::string Duel::compare_tables() {
  const std::string one = compare("the worker", memory_[0].view(), rig_.table(0));
  return one.empty() ? compare("the exception path", memory_[1].view(), rig_.table(1)) : one;
}

std::array<uint64_t, LB_COUNT_MAX> Duel::counters() {
  std::array<uint64_t, LB_COUNT_MAX> sum = rig_.counters();
  for (size_t i = 0; i < sum.size(); i++) sum[i] += far_end_->state().counters[i];
  return sum;
}

std::string Duel::compare_traffic() {
  const std::string one = compare("service", plain_->state().services, rig_.services());
  return one.empty() ? compare("backend", plain_->state().backends, rig_.backends()) : one;
}

}  // namespace lb::conformance
