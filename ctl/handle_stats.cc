// stats.workers, drops, services, backends, ports
#include "ctl/json_stats.h"

#include <span>

#include "ctl/call.h"
#include "ctl/json_view.h"
#include "dataplane/model/counters.h"

namespace lb::ctl {

using Json = nlohmann::json;

namespace {

bool is_balanced(const model::CounterArray& c) {
  uint64_t ends =
      c[LB_COUNT_Forwarded] + c[LB_COUNT_Answered] + c[LB_COUNT_Punted] + c[LB_COUNT_HandedOut] + c[LB_COUNT_Held];
  for (size_t i = LB_DROP_FIRST; i <= LB_DROP_LAST; i++) ends += c[i];
  return c[LB_COUNT_RxPackets] + c[LB_COUNT_HandedIn] == ends;
}

bool all_balanced(const std::vector<model::WorkerCounters>& workers) {
  for (const model::WorkerCounters& w : workers) {
    if (!is_balanced(w.counters)) return false;
  }
  return true;
}

Json counters_json(const model::CounterArray& counters) {
  Json json = Json::object();
  for (const model::CounterInfo& info : model::counters()) json[std::string(info.name)] = counters[info.id];
  return json;
}

net::Result<Json> workers(Call& call) {
  if (auto fault = call.fault()) return *fault;
  return workers_json(read_workers(call.control().engine()));
}

net::Result<Json> drops(Call& call) {
  if (auto fault = call.fault()) return *fault;
  const model::CounterArray sum = totals(read_workers(call.control().engine()));
  Json list = Json::array();
  for (const model::CounterInfo& info : model::counters()) {
    if (!info.is_drop) continue;
    list.push_back({{"reason", info.name}, {"help", info.help}, {"packets", sum[info.id]}});
  }
  return Json{{"drops", std::move(list)}};
}

net::Result<Json> services(Call& call) {
  if (auto fault = call.fault()) return *fault;
  const View view(call.control());
  Json list = Json::array();
  for (const auto& [name, service] : call.control().config().services) {
    const lb_traffic t = view.traffic(service);
    list.push_back({{"name", name}, {"packets", t.packets}, {"bytes", t.bytes}});
  }
  return Json{{"services", std::move(list)}};
}

net::Result<Json> backends(Call& call) {
  if (auto fault = call.fault()) return *fault;
  const model::TrafficCounters traffic = call.control().traffic();
  Json list = Json::array();
  for (const model::BackendState& s : call.control().snapshot().backend_states) {
    const size_t id = net::raw(s.id);
    const lb_traffic t = id < traffic.backends.size() ? traffic.backends[id] : lb_traffic{};
    list.push_back({{"pool", s.pool},
                    {"name", s.name},
                    {"address", s.address.to_string()},
                    {"packets", t.packets},
                    {"bytes", t.bytes}});
  }
  return Json{{"backends", std::move(list)}};
}

net::Result<Json> ports(Call& call) {
  if (auto fault = call.fault()) return *fault;
  Json list = Json::array();
  for (const model::PortCounters& p : call.control().engine().ports()) list.push_back(port_json(p));
  return Json{{"ports", std::move(list)}};
}

net::Result<Json> flows(Call& call) {
  if (auto fault = call.fault()) return *fault;
  model::FlowTables* const tables = call.control().engine().flows();
  if (tables == nullptr) return Json{{"flows", nullptr}, {"flow_counters", Json::array()}};
  const model::FlowTotals now = tables->count();
  uint64_t once = 0, established = 0, closing = 0, udp = 0;
  for (const model::BackendFlows& b : now.backends) {
    once += b.once;
    established += b.established;
    closing += b.closing;
    udp += b.udp;
  }
  const model::CounterArray sum = totals(read_workers(call.control().engine()));
  Json counted = Json::array();
#define X(id, name, help) counted.push_back({{"name", name}, {"count", sum[LB_COUNT_##id]}, {"help", help}});
  LB_FLOW_COUNTERS(X)
#undef X
  return Json{{"flows",
               {{"live", now.live},
                {"capacity", now.capacity},
                {"once", once},
                {"established", established},
                {"closing", closing},
                {"udp", udp}}},
              {"flow_counters", std::move(counted)}};
}

}  // namespace

std::vector<model::WorkerCounters> read_workers(model::Engine& engine) {
  // A worker adds a batch's counters one after another: a read that falls in between is repeated. A sum that is really
  // wrong stays wrong.
  constexpr int kTries = 10;
  std::vector<model::WorkerCounters> workers = engine.workers();
  for (int i = 1; i < kTries && !all_balanced(workers); i++) workers = engine.workers();
  return workers;
}

model::CounterArray totals(const std::vector<model::WorkerCounters>& workers) {
  model::CounterArray sum{};
  for (const model::WorkerCounters& w : workers) {
    for (size_t i = 0; i < sum.size(); i++) sum[i] += w.counters[i];
  }
  return sum;
}

Json port_json(const model::PortCounters& p) {
  return {{"name", p.name},         {"device", p.device},         {"driver", p.driver},
          {"ifname", p.ifname},     {"mac", p.mac.to_string()},   {"mtu", p.mtu},
          {"queues", p.queues},     {"link", p.link_up},          {"rx_packets", p.rx_packets},
          {"rx_bytes", p.rx_bytes}, {"tx_packets", p.tx_packets}, {"tx_bytes", p.tx_bytes},
          {"rx_lost", p.rx_lost},   {"tx_lost", p.tx_lost}};
}

Json workers_json(const std::vector<model::WorkerCounters>& workers) {
  Json list = Json::array();
  for (const model::WorkerCounters& w : workers) {
    list.push_back({{"worker", net::raw(w.worker)},
                    {"name", w.name},
                    {"core", w.core ? Json(*w.core) : Json(nullptr)},
                    {"generation", net::raw(w.generation)},
                    {"counters", counters_json(w.counters)}});
  }
  return {
      {"workers", std::move(list)}, {"totals", counters_json(totals(workers))}, {"balanced", all_balanced(workers)}};
}

std::span<const Method> stats_methods() {
  static constexpr Method kMethods[] = {{"stats.workers", kReads, workers},   {"stats.drops", kReads, drops},
                                        {"stats.services", kReads, services}, {"stats.backends", kReads, backends},
                                        {"stats.ports", kReads, ports},       {"stats.flows", kReads, flows}};
  return kMethods;
}

}  // namespace lb::ctl
