// engine.show: what the engine runs on, its workers and, with engine xdp, its programs.
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_stats.h"
#include "ctl/version.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json program_json(const model::EngineProgram& p) {
  return {{"port", net::raw(p.port)},
          {"interface", p.interface},
          {"mode", model::to_string(p.mode)},
          {"program", p.id},
          {"instructions", p.instructions == 0 ? Json(nullptr) : Json(p.instructions)},
          {"queues", p.queues},
          {"adopted", p.adopted}};
}

Json worker_json(const model::WorkerCounters& w) {
  return {{"worker", net::raw(w.worker)},
          {"name", w.name},
          {"core", or_null(w.core)},
          {"generation", net::raw(w.generation)}};
}

net::Result<Json> show(Call& call) {
  if (auto fault = call.fault()) return *fault;
  model::Engine& engine = call.control().engine();
  const model::EngineFacts facts = engine.facts();
  Json json = {
      {"engine", facts.name},
      {"platform", facts.platform},
      {"daemon", true},
      {"forwards", true},
      {"version", kVersion},
      {"pid", getpid()},
      {"uptime_s",
       std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - call.node.started).count()},
      {"generation", call.control().generation()},
      {"huge_pages", or_null(facts.huge_pages)},
      {"flow_capacity", call.control().config().daemon.flows},
      {"flow_bytes", facts.flow_bytes},
      {"heartbeat_ms", or_null(facts.heartbeat_ms)},
      {"orphan_after_s", facts.orphan_after_s.value_or(0) == 0 ? Json(nullptr) : Json(*facts.orphan_after_s)},
      {"programs", Json::array()},
      {"workers", Json::array()}};
  for (const model::EngineProgram& p : facts.programs) json["programs"].push_back(program_json(p));
  for (const model::WorkerCounters& w : engine.workers()) json["workers"].push_back(worker_json(w));
  return json;
}

}  // namespace

std::span<const Method> engine_methods() {
  static constexpr Method kMethods[] = {{"engine.show", kReads, show}};
  return kMethods;
}

}  // namespace lb::ctl
