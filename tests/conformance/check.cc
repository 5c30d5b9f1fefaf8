#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/model/counters.h"
#include "tests/conformance/conformance.h"

namespace lb::conformance {
namespace {

std::string text(Verdict v, Drop reason) {
  switch (v) {
    case Verdict::kNone:
      return "no verdict";
    case Verdict::kForward:
      return "forwarded";
    case Verdict::kPunt:
      return "punted";
    case Verdict::kAnswer:
      return "answered";
    case Verdict::kSplit:
      return "split";
    case Verdict::kHold:
      return "held";
    case Verdict::kDrop:
      break;
  }
  const auto id = static_cast<lb_counter>(reason);
  if (id < LB_DROP_FIRST || id > LB_DROP_LAST) return "dropped for no known reason";
  return "dropped(" + std::string(model::counter(id).name) + ")";
}

// What the engine and its port make of an expected answer or punt.
Expect in_this_engine(Expect e, const Runner& runner) {
  const Punts punts = runner.punts();
  if (e.verdict == Verdict::kAnswer) return runner.answers() ? e : dropped(e.reason);
  if (e.verdict != Verdict::kPunt || punts == Punts::kTwin) return e;
  if (punts == Punts::kCopy && !e.owned) return e;
  return dropped(LB_DROP_NoExceptionPath);
}

void check_step(const Step& step, const Expect& want, const StepOutcome& found) {
  EXPECT_EQ(text(want.verdict, want.reason), text(found.verdict, found.reason)) << "frame in:\n"
                                                                                << packet::describe(step.in.bytes());
  if (want.verdict != found.verdict) return;
  if (want.verdict == Verdict::kForward || want.verdict == Verdict::kAnswer) {
    EXPECT_EQ(packet::difference(want.out.bytes(), found.frame), "");
    EXPECT_EQ(want.egress, found.egress);
  }
  if (want.verdict == Verdict::kPunt) {
    EXPECT_EQ(packet::difference(step.in.bytes(), found.frame), "");
  }
}

struct Totals {
  std::array<uint64_t, LB_COUNT_MAX> counters{};
  std::map<std::string, std::pair<uint64_t, uint64_t>> services, backends;  // name -> packets, bytes
};

Totals expected_totals(const Case& c, const Runner& runner) {
  Totals t;
  for (const Step& step : c.steps) {
    const Expect e = in_this_engine(step.expect, runner);
    t.counters[LB_COUNT_RxPackets]++;
    t.counters[LB_COUNT_RxBytes] += step.in.bytes().size();
    if (e.verdict == Verdict::kPunt) t.counters[LB_COUNT_Punted]++;
    if (e.verdict == Verdict::kAnswer) t.counters[LB_COUNT_Answered]++;
    if (e.verdict == Verdict::kDrop) t.counters[e.reason]++;
    if (e.verdict != Verdict::kForward) continue;
    const uint64_t bytes = e.out.bytes().size();
    t.counters[LB_COUNT_Forwarded]++;
    t.counters[LB_COUNT_ForwardedBytes] += bytes;
    for (auto* traffic : {&t.services[e.service], &t.backends[e.backend]}) {
      traffic->first++;
      traffic->second += bytes;
    }
  }
  return t;
}

template <class Names>
void check_traffic(const std::vector<lb_traffic>& found, const Names& names,
                   const std::map<std::string, std::pair<uint64_t, uint64_t>>& want) {
  std::map<std::string, std::pair<uint64_t, uint64_t>> seen;
  for (const auto& [name, id] : names)
    if (id < found.size() && found[id].packets != 0) seen[name] = {found[id].packets, found[id].bytes};
  EXPECT_EQ(want, seen);
}

void check_totals(const Case& c, const Outcome& found, const Runner& runner) {
  const Totals want = expected_totals(c, runner);
  for (const model::CounterInfo& info : model::counters()) {
    if (info.id >= LB_COUNT_FlowHits) break;  // what the flow table did besides is told by its own tests
    EXPECT_EQ(want.counters[info.id], found.counters[info.id]) << "counter " << info.name;
  }
  uint64_t verdicts = found.counters[LB_COUNT_Forwarded] + found.counters[LB_COUNT_Answered] +
                      found.counters[LB_COUNT_Punted] + found.counters[LB_COUNT_Held];
  for (size_t d = LB_DROP_FIRST; d <= LB_DROP_LAST; d++) verdicts += found.counters[d];
  EXPECT_EQ(found.counters[LB_COUNT_RxPackets], verdicts);

  model::IdTable ids;
  ASSERT_TRUE(ids.assign(c.world->config));
  std::map<std::string, uint32_t> services, backends;
  for (const auto& [name, index] : ids.services()) services[name] = net::raw(index);
  for (const auto& [key, id] : ids.backends()) backends[key.pool + "/" + key.name] = net::raw(id);
  check_traffic(found.services, services, want.services);
  check_traffic(found.backends, backends, want.backends);
}

class CaseTest : public testing::Test {
 public:
  CaseTest(Runner& runner, Case c) : runner_(runner), case_(std::move(c)) {}
  void TestBody() override {
    if (const std::string why = runner_.why_not(case_); !why.empty()) GTEST_SKIP() << why;
    check(case_, runner_.run(case_), runner_);
  }

 private:
  Runner& runner_;
  Case case_;
};

}  // namespace

Expect forwarded(packet::Packet out, uint16_t egress, std::string service, std::string backend) {
  return {.verdict = Verdict::kForward,
          .out = std::move(out),
          .egress = egress,
          .service = std::move(service),
          .backend = std::move(backend)};
}
Expect dropped(Drop reason) {
  return {.verdict = Verdict::kDrop, .reason = reason, .out = {}, .service = {}, .backend = {}};
}
Expect answered(packet::Packet out, Drop reason) {
  return {.verdict = Verdict::kAnswer,
          .reason = reason,
          .out = std::move(out),
          .egress = kWan,
          .service = {},
          .backend = {}};
}
Expect punted() {
  return {.verdict = Verdict::kPunt, .out = {}, .service = {}, .backend = {}};
}
Expect punted_owned() {
  Expect e = punted();
  e.owned = true;
  return e;
}

void check(const Case& c, const Outcome& found, const Runner& runner) {
  ASSERT_EQ(c.steps.size(), found.steps.size());
  for (size_t i = 0; i < c.steps.size(); i++) {
    SCOPED_TRACE("step " + std::to_string(i + 1));
    check_step(c.steps[i], in_this_engine(c.steps[i].expect, runner), found.steps[i]);
  }
  check_totals(c, found, runner);
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (auto* list : {&cases_v4, &cases_v6, &cases_bad, &cases_edge, &cases_answer}) {
    const std::vector<Case> some = (*list)();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

void register_tests(Runner& runner) {
  for (const Case& c : all_cases()) {
    std::string name = c.name;
    std::replace_if(
        name.begin(), name.end(), [](unsigned char ch) { return std::isalnum(ch) == 0; }, '_');
    testing::RegisterTest(runner.name().c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [&runner, c]() -> testing::Test* { return new CaseTest(runner, c); });
  }
}

}  // namespace lb::conformance
