// port.list, port.show: devices, queues and who polls them. Their totals alone: stats.ports.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_stats.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

Json queues_json(const std::vector<model::QueueCounters>& queues, const std::vector<model::WorkerCounters>& workers) {
  Json list = Json::array();
  for (const model::QueueCounters& q : queues) {
    Json queue = {{"queue", q.queue},   {"worker", nullptr}, {"worker_name", nullptr}, {"core", nullptr},
                  {"packets", nullptr}, {"bytes", nullptr},  {"lost", nullptr}};
    const auto worker = std::find_if(workers.begin(), workers.end(),
                                     [&](const model::WorkerCounters& w) { return q.worker && w.worker == *q.worker; });
    if (q.worker) queue["worker"] = net::raw(*q.worker);
    if (worker != workers.end()) queue["worker_name"] = worker->name;
    if (worker != workers.end() && worker->core) queue["core"] = *worker->core;
    if (q.counted) queue.update({{"packets", q.packets}, {"bytes", q.bytes}, {"lost", q.lost}});
    list.push_back(std::move(queue));
  }
  return list;
}

Json whole_json(const model::PortCounters& p, const std::vector<model::WorkerCounters>& workers) {
  Json json = port_json(p);
  json["twin"] = p.twin;
  json["dispatch"] = p.dispatch;
  for (const auto& [name, count] : {std::pair("to_kernel", p.to_kernel),
                                    {"to_kernel_lost", p.to_kernel_lost},
                                    {"from_kernel", p.from_kernel},
                                    {"from_kernel_lost", p.from_kernel_lost}})
    json[name] = p.twin.empty() ? Json() : Json(count);
  json["rx_queues"] = queues_json(p.rx_queues, workers);
  json["tx_queues"] = queues_json(p.tx_queues, workers);
  return json;
}

net::Result<Json> list(Call& call) {
  if (auto fault = call.fault()) return *fault;
  model::Engine& engine = call.control().engine();
  const auto workers = engine.workers();
  Json ports = Json::array();
  for (const model::PortCounters& p : engine.ports()) ports.push_back(whole_json(p, workers));
  return Json{{"ports", std::move(ports)}};
}

net::Result<Json> show(Call& call) {
  const std::string name = call.params.text("name");
  if (auto fault = call.fault()) return *fault;
  model::Engine& engine = call.control().engine();
  std::string names;
  for (const model::PortCounters& p : engine.ports()) {
    if (p.name == name) return whole_json(p, engine.workers());
    names += (names.empty() ? "" : ", ") + p.name;
  }
  return net::Error{net::Code::kNotFound,
                    fmt::format("there is no port `{}`; there are {}", name.substr(0, 80), names)};
}

}  // namespace

std::span<const Method> port_methods() {
  static constexpr Method kMethods[] = {{"port.list", kReads, list}, {"port.show", kReads, show}};
  return kMethods;
}

}  // namespace lb::ctl
