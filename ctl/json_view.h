// What runs, as JSON: services, pools, backends with their states, in the shapes of docs/protocol.md.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ctl/controller.h"
#include "ctl/selector.h"

namespace lb::ctl {

// Made for one answer: indexes by name what the snapshot keeps by number.
class View {
 public:
  // flows: counted, too; a pass over the flow tables.
  enum class Flows { kNo, kCount };
  explicit View(Controller& controller, Flows flows = Flows::kNo);

  nlohmann::json service(const model::Service& service) const;
  nlohmann::json service_row(const model::Service& service) const;  // of the summary
  nlohmann::json pool(const model::Pool& pool) const;
  nlohmann::json backend(const Selected& selected) const;
  nlohmann::json leaving(const model::BackendState& state) const;  // in the same shape
  // Per service of the backend's pool: slots and share of the live table.
  nlohmann::json backend_services(const Selected& selected) const;
  nlohmann::json address_of(net::BackendId id) const;  // {pool, name, address}

  // null when the compiler knows no such backend.
  const model::BackendState* state(const std::string& pool, const std::string& backend) const;
  const std::vector<const model::Service*>& users(const std::string& pool) const;
  // "fe/fe11: weight 0": backends of the service that take no new flows, and why.
  std::vector<std::string> not_eligible(const model::Service& service, bool with_weight_0) const;
  size_t eligible(const model::Service& service) const;
  lb_traffic traffic(const model::Service& service) const;
  size_t backends_of(const std::string& pool) const;
  const model::FlowTotals* flows() const { return flows_ ? &*flows_ : nullptr; }  // null: not counted

 private:
  void add_reach(nlohmann::json& json, const net::Address& address) const;
  std::string ipv6_floor(const Selected& selected) const;
  nlohmann::json flows_of(net::BackendId id) const;  // null when nobody counts

  const Controller& controller_;
  model::TrafficCounters traffic_;
  std::optional<model::FlowTotals> flows_;
  std::unordered_map<std::string, std::unordered_map<std::string, const model::BackendState*>> states_;
  std::vector<const model::BackendState*> by_id_;
  std::map<std::string, std::vector<const model::Service*>> users_;
};

nlohmann::json override_json(const model::Override& by);
nlohmann::json vlan_json(uint16_t vlan);  // null when untagged
const std::string& why_not(const model::BackendState& state, model::Forward forward);

}  // namespace lb::ctl
