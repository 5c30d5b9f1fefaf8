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

// What the port makes of an expected punt.
Expect on_this_port(Expect e, Punts punts) {
  if (e.verdict != Verdict::kPunt || punts == Punts::kTwin) return e;
  if (punts == Punts::kCopy && !e.owned) return e;
  return dropped(LB_DROP_NoExceptionPath);
}

// All frames that the step lets out, in order, and by which port: its own, then those of what it releases.
std::vector<packet::Packet> frames_of(const Expect& e) {
  std::vector<packet::Packet> all = e.out;
  for (const Expect& r : e.released) all.insert(all.end(), r.out.begin(), r.out.end());
  return all;
}

void check_frames(const Step& step, const std::vector<packet::Packet>& want, const std::vector<packet::Bytes>& found) {
  EXPECT_EQ(want.size(), found.size()) << "frames out; frame in:\n" << packet::describe(step.in.bytes());
  for (size_t i = 0; i < std::min(want.size(), found.size()); i++)
    EXPECT_EQ(packet::difference(want[i].bytes(), found[i]), "") << "frame " << i + 1 << " out";
  for (size_t i = want.size(); i < found.size(); i++) ADD_FAILURE() << packet::describe(found[i]);
}

void check_step(const Step& step, const Expect& want, const StepOutcome& found) {
  EXPECT_EQ(text(want.verdict, want.reason), text(found.verdict, found.reason)) << "frame in:\n"
                                                                                << packet::describe(step.in.bytes());
  if (want.verdict != found.verdict) return;
  if (want.verdict == Verdict::kPunt) return check_frames(step, {step.in}, found.frames);
  check_frames(step, frames_of(want), found.frames);
  if (want.verdict == Verdict::kForward || want.verdict == Verdict::kAnswer) {
    EXPECT_EQ(want.egress, found.egress);
  }
}

struct Totals {
  std::array<uint64_t, LB_COUNT_MAX> counters{};
  std::map<std::string, std::pair<uint64_t, uint64_t>> services, backends;  // name -> packets, bytes
};

void add_forwarded(Totals& t, const Expect& e) {
  uint64_t bytes = 0;
  for (const packet::Packet& p : e.out) bytes += p.bytes().size();
  t.counters[LB_COUNT_Forwarded]++;
  t.counters[LB_COUNT_ForwardedBytes] += bytes;
  if (e.out.size() > 1) t.counters[LB_COUNT_PiecesSent] += e.out.size();
  if (e.is_error) t.counters[LB_COUNT_ErrorsForwarded]++;
  for (auto* traffic : {&t.services[e.service], &t.backends[e.backend]}) {
    traffic->first++;
    traffic->second += bytes;
  }
}

void add(Totals& t, const Expect& e) {
  if (e.verdict == Verdict::kPunt) t.counters[LB_COUNT_Punted]++;
  if (e.verdict == Verdict::kDrop) t.counters[e.reason]++;
  if (e.verdict == Verdict::kAnswer) t.counters[LB_COUNT_Answered]++;
  if (e.verdict == Verdict::kForward) add_forwarded(t, e);
  if (e.verdict == Verdict::kHold) {
    t.counters[LB_COUNT_Held]++;
    t.counters[LB_COUNT_FragmentsHeld]++;
  }
}

Totals expected_totals(const Case& c, Punts punts) {
  Totals t;
  for (const Step& step : c.steps) {
    t.counters[LB_COUNT_RxPackets]++;
    t.counters[LB_COUNT_RxBytes] += step.in.bytes().size();
    add(t, on_this_port(step.expect, punts));
    for (const Expect& r : step.expect.released) {
      t.counters[LB_COUNT_Held]--;
      add(t, on_this_port(r, punts));
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

void check_totals(const Case& c, const Outcome& found, Punts punts) {
  const Totals want = expected_totals(c, punts);
  for (const model::CounterInfo& info : model::counters()) {
    if (info.id >= LB_COUNT_FlowHits && info.id <= LB_COUNT_ForeignSkipped) continue;  // the flow table's own tests
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
    check(case_, runner_.run(case_), runner_.punts());
  }

 private:
  Runner& runner_;
  Case case_;
};

}  // namespace

Expect split(std::vector<packet::Packet> pieces, uint16_t egress, std::string service, std::string backend) {
  Expect e;
  e.verdict = Verdict::kForward;
  e.out = std::move(pieces);
  e.egress = egress;
  e.service = std::move(service);
  e.backend = std::move(backend);
  return e;
}
Expect forwarded(packet::Packet out, uint16_t egress, std::string service, std::string backend) {
  return split({std::move(out)}, egress, std::move(service), std::move(backend));
}
Expect answered(packet::Packet out) {
  Expect e;
  e.verdict = Verdict::kAnswer;
  e.out = {std::move(out)};
  e.egress = kWan;
  return e;
}
Expect held() {
  Expect e;
  e.verdict = Verdict::kHold;
  return e;
}
Expect dropped(Drop reason) {
  Expect e;
  e.verdict = Verdict::kDrop;
  e.reason = reason;
  return e;
}
Expect punted() {
  Expect e;
  e.verdict = Verdict::kPunt;
  return e;
}
Expect punted_owned() {
  Expect e = punted();
  e.owned = true;
  return e;
}

void check(const Case& c, const Outcome& found, Punts punts) {
  ASSERT_EQ(c.steps.size(), found.steps.size());
  for (size_t i = 0; i < c.steps.size(); i++) {
    SCOPED_TRACE("step " + std::to_string(i + 1));
    check_step(c.steps[i], on_this_port(c.steps[i].expect, punts), found.steps[i]);
  }
  check_totals(c, found, punts);
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (auto* list : {&cases_v4, &cases_v6, &cases_bad, &cases_edge, &cases_answer, &cases_icmp}) {
    const std::vector<Case> some = (*list)();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

void register_tests(Runner& runner) {
  std::vector<Case> all = all_cases();
  for (Case& c : cases_oracle()) all.push_back(std::move(c));
  for (const Case& c : all) {
    std::string name = c.name;
    std::replace_if(
        name.begin(), name.end(), [](unsigned char ch) { return std::isalnum(ch) == 0; }, '_');
    testing::RegisterTest(runner.name().c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [&runner, c]() -> testing::Test* { return new CaseTest(runner, c); });
  }
}

}  // namespace lb::conformance
