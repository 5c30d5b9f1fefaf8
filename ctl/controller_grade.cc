// What a change was forecast to do to flows, and what came of it: an event some seconds later, so that an operator
// knows what forecasts are worth.
#include <map>

#include "ctl/controller.h"
#include "ctl/log.h"

namespace lb::ctl {
namespace {

constexpr int64_t kGradeAfterS = 10;  // flows move with their next packet

uint64_t moved_flows(model::Engine& engine) {
  uint64_t n = 0;
  for (const model::WorkerCounters& w : engine.workers())
    for (const lb_counter c : {LB_COUNT_FlowsMovedBackend, LB_COUNT_FlowsMovedPool, LB_COUNT_FlowsMovedMode})
      n += w.counters[c];
  return n;
}

}  // namespace

void Controller::expect(const Forecast& forecast) {
  grade_.reset();
  if (!forecast.tracked) return;
  Grade grade{.revision = revision(), .due = now() + kGradeAfterS, .about = forecast.about};
  for (const ServiceForecast& f : forecast.services) {
    grade.services.insert(f.service);
    grade.predicted.live += f.flows.live;
    grade.predicted.pinned += f.flows.pinned;
    grade.predicted.moved += f.flows.moved;
    grade.predicted.ended += f.flows.ended;
  }
  if (grade.predicted.live == 0) return;
  grade.moved_before = moved_flows(engine_);
  grade_ = std::move(grade);
}

// Before the next change is made, too: afterwards nobody could tell them apart.
void Controller::grade_forecast() {
  const Grade grade = std::move(*grade_);
  grade_.reset();
  model::FlowTables* flows = engine_.flows();
  if (flows == nullptr) return;
  std::map<std::string, FlowForecast> now_is;
  (void)forecast_flows(*flows, *snapshot_, *snapshot_, now_is);
  uint64_t pinned = 0;
  for (const auto& [service, f] : now_is)
    if (grade.services.contains(service)) pinned += f.pinned;
  log(LogLevel::kInfo, "forecast_graded",
      {{"revision", grade.revision},
       {"flows", grade.predicted.live},
       {"about", grade.about ? "yes" : "no"},
       {"pinned_predicted", grade.predicted.pinned},
       {"pinned", pinned},
       {"moved_predicted", grade.predicted.moved},
       {"moved", moved_flows(engine_) - grade.moved_before},
       {"ended_predicted", grade.predicted.ended}});
}

}  // namespace lb::ctl
