#include <algorithm>
#include <set>

#include "ctl/forecast.h"
#include "dataplane/model/lookup.h"

namespace lb::ctl {
namespace {

using model::Snapshot;

constexpr uint64_t kChunkLines = 4096;
constexpr uint64_t kMaxLines = 512 * 1024;  // 4 million entries, some tenths of a second

class FlowFates {
 public:
  FlowFates(const Snapshot& before, const Snapshot& after)
      : before_(before), after_(after), counts_(before.services.size()) {}

  void add(const model::Flow& flow) {
    seen_++;
    if (flow.flow_class == model::FlowClass::kOnce) return;
    const uint32_t was = service_of(before_, flow);
    if (was == LB_NO_SERVICE) return;
    FlowForecast& count = counts_[was];
    count.live++;
    const uint32_t now = service_of(after_, flow);
    if (now == LB_NO_SERVICE)
      count.ended++;
    else if (!serves(after_, now, flow))
      count.moved += serves(before_, was, flow);  // else it is to be moved anyway
    else if (model::chosen_backend(after_, now, flow.source, flow.destination, flow.hash) != net::raw(flow.backend))
      count.pinned++;
  }
  uint64_t seen() const { return seen_; }
  const std::vector<FlowForecast>& counts() const { return counts_; }

 private:
  static uint32_t service_of(const Snapshot& s, const model::Flow& flow) {
    return model::find_listener(s, flow.destination, flow.destination_port, net::raw(flow.proto)).service;
  }
  static bool serves(const Snapshot& s, uint32_t service, const model::Flow& flow) {
    const uint8_t family = model::is_ipv4(flow.destination) ? 4 : 6;
    return model::serves_flow(s, s.services[service], net::raw(flow.backend), family) == model::Serves::kYes;
  }

  const Snapshot &before_, &after_;
  std::vector<FlowForecast> counts_;  // by service index of before_
  uint64_t seen_ = 0;
};

uint64_t scaled(uint64_t n, double factor) {
  return static_cast<uint64_t>(static_cast<double>(n) * factor + 0.5);
}

// A service that is gone, or one whose tables are the same but whose flows would be lost.
ServiceForecast of_flows_only(const std::string& name, const FlowForecast& flows, const Snapshot& after) {
  const bool stays = std::ranges::find(after.service_names, name) != after.service_names.end();
  return {.service = name,
          .slots_moved = stays ? 0.0 : 1.0,
          .eligible_before = 0,
          .eligible_after = 0,
          .same_way = true,
          .flows = flows};
}

}  // namespace

bool forecast_flows(model::FlowTables& tables, const Snapshot& before, const Snapshot& after,
                    std::map<std::string, FlowForecast>& services) {
  FlowFates fates(before, after);
  std::optional<uint64_t> position = 0;
  for (uint64_t lines = 0; position && lines < kMaxLines; lines += kChunkLines)
    position = tables.scan(*position, kChunkLines, [&](const model::Flow& flow) { fates.add(flow); });
  double factor = 1;
  if (position && fates.seen() > 0)
    factor = std::max(1.0, static_cast<double>(tables.count().live) / static_cast<double>(fates.seen()));
  for (size_t i = 0; i < fates.counts().size(); i++) {
    const FlowForecast& f = fates.counts()[i];
    if (f.live == 0) continue;
    services[before.service_names[i]] = {scaled(f.live, factor), scaled(f.pinned, factor), scaled(f.moved, factor),
                                         scaled(f.ended, factor)};
  }
  return position.has_value();
}

Forecast forecast(model::FlowTables* tables, const Snapshot& before, const Snapshot& after) {
  Forecast all{.services = forecast_tables(&before, after), .tracked = tables != nullptr, .about = false};
  if (tables == nullptr) return all;
  std::map<std::string, FlowForecast> flows;
  all.about = forecast_flows(*tables, before, after, flows);
  for (ServiceForecast& f : all.services) {
    const auto it = flows.find(f.service);
    if (it == flows.end()) continue;
    f.flows = it->second;
    flows.erase(it);
  }
  for (const auto& [name, f] : flows)
    if (f.moved + f.ended > 0) all.services.push_back(of_flows_only(name, f, after));
  std::ranges::sort(all.services, {}, &ServiceForecast::service);
  return all;
}

}  // namespace lb::ctl
