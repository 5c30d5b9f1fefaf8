// hello, summary: what a client needs first, and the page worth reading, bad news first.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "ctl/call.h"
#include "ctl/event_ring.h"
#include "ctl/json_announce.h"
#include "ctl/json_change.h"
#include "ctl/json_stats.h"
#include "ctl/json_view.h"
#include "ctl/version.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

net::Result<Json> hello(Call& call) {
  if (auto fault = call.fault()) return *fault;
  const Controller& control = call.control();
  return Json{
      {"protocol", kProtocol},
      {"version", kVersion},
      {"pid", getpid()},
      {"engine", control.config().daemon.engine},
      {"role", to_string(call.node.access.role_of(call.peer))},
      {"revision", control.revision()},
      {"generation", control.generation()},
      {"started", std::chrono::duration_cast<std::chrono::seconds>(call.node.started.time_since_epoch()).count()}};
}

void add_worker_problems(Controller& control, const std::vector<model::WorkerCounters>& workers,
                         std::vector<std::string>& problems) {
  for (const model::WorkerCounters& w : workers) {
    if (net::raw(w.generation) >= control.generation()) continue;
    problems.push_back(fmt::format(
        "worker {} uses generation {}, not {}: it {}", w.name, net::raw(w.generation), control.generation(),
        w.core ? "does not poll; see what else runs on that core" : "takes no packets; if that lasts, restart lbd"));
  }
}

// One sentence a pool and forward mode, however many backends and services.
void add_backend_problems(const Controller& control, const View& view, std::vector<std::string>& problems) {
  std::set<std::pair<std::string_view, model::Forward>> told;
  std::vector<std::string> partial;
  for (const auto& [name, service] : control.config().services) {
    const auto why = view.not_eligible(service, false);
    const bool none = view.eligible(service) == 0;
    if (none) {
      problems.push_back(fmt::format("service {}: no eligible backend in pool {}{}", name, service.pool,
                                     why.empty() ? "" : ": " + some_of(why, 3)));
    }
    if (why.empty() || none || !told.insert({service.pool, service.forward}).second) continue;
    partial.push_back(fmt::format("pool {}: {} of {} backends take no new flows with {}: {}", service.pool, why.size(),
                                  view.backends_of(service.pool), model::to_string(service.forward), some_of(why, 3)));
  }
  problems.insert(problems.end(), partial.begin(), partial.end());
}

std::vector<std::string> find_problems(Call& call, const View& view,
                                       const std::vector<model::WorkerCounters>& workers) {
  std::vector<std::string> problems = announce_problems(call.node);
  problems.insert(problems.end(), call.node.notes.begin(), call.node.notes.end());
  if (std::string fault = call.node.audit.fault(); !fault.empty()) problems.push_back(std::move(fault));
  Controller& control = call.control();
  if (const auto& trial = control.trial()) {
    problems.push_back(fmt::format(
        "revision {} is on trial: revision {} comes back in {} s unless somebody says `lbctl config confirm`",
        control.revision(), trial->back_to, std::max<int64_t>(0, trial->until - control.now())));
  }
  add_worker_problems(control, workers, problems);
  if (call.node.events != nullptr && !call.node.events->why_not_kept().empty())
    problems.push_back("events are in memory only and end with lbd: " + call.node.events->why_not_kept());
  for (const model::PortCounters& p : control.engine().ports()) {
    if (!p.link_up) problems.push_back(fmt::format("port {} ({}): link is down", p.name, p.device));
  }
  // Written ten times a second; who is silent for long is taken for dead by the programs.
  constexpr uint64_t kSilence = 2000;
  if (const auto silence = control.engine().facts().heartbeat_ms; silence.value_or(0) > kSilence) {
    problems.push_back(fmt::format(
        "the XDP programs got no sign of life from lbd for {} s: they leave everything to the kernel once that is "
        "daemon.orphan-after ({}); see whether lbd gets the CPU, else restart it",
        *silence / 1000, model::orphan_after_text(control.config().daemon.orphan_after_s)));
  }
  for (std::string& sentence : control.topology_source().problems()) problems.push_back(std::move(sentence));
  add_backend_problems(control, view, problems);
  // A page is read from the top: what is below fifty lines nobody acts on before the rest is mended.
  constexpr size_t kMaxProblems = 50;
  if (problems.size() > kMaxProblems) {
    const size_t more = problems.size() - kMaxProblems;
    problems.resize(kMaxProblems);
    problems.push_back(fmt::format("and {} problems more", more));
  }
  return problems;
}

net::Result<Json> summary(Call& call) {
  if (auto fault = call.fault()) return *fault;
  Controller& control = call.control();
  const View view(control, View::Flows::kCount);
  const std::vector<model::WorkerCounters> workers = read_workers(control.engine());
  Json json = workers_json(workers);
  json["version"] = kVersion;
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  json["node"] = name;
  json["engine"] = control.config().daemon.engine;
  json["uptime_s"] =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - call.node.started).count();
  json["revision"] = control.revision();
  json["generation"] = control.generation();
  const std::string& why = call.node.drift.check(control.config(), control.revision());
  json["drift"] = why.empty() ? Json(nullptr) : Json{{"file", call.node.drift.path()}, {"why", why}};
  json["trial"] = trial_json(control.trial());
  json["drained"] = control.overlay().drained.size();
  json["leaving"] = control.overlay().leaving.size();
  json["flows"] = nullptr;
  if (const model::FlowTotals* flows = view.flows()) {
    json["flows"] = {{"live", flows->live}, {"capacity", flows->capacity}};
  }
  json["problems"] = find_problems(call, view, workers);
  json["services"] = Json::array();
  for (const auto& [service_name, service] : control.config().services) {
    json["services"].push_back(view.service_row(service));
    json["services"].back()["announcement"] = announcement_json(call.node, service);
  }
  return json;
}

}  // namespace

std::span<const Method> show_methods() {
  static constexpr Method kMethods[] = {{"hello", kReads, hello}, {"summary", kReads, summary}};
  return kMethods;
}

}  // namespace lb::ctl
