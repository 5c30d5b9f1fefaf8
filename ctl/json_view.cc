#include "ctl/json_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/path_mtu.h"
#include "dataplane/net/headers.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

template <class Id>
lb_traffic at(const std::vector<lb_traffic>& list, Id id) {
  return net::raw(id) < list.size() ? list[net::raw(id)] : lb_traffic{};
}

const char* word_of(model::MtuFrom from) {
  switch (from) {
    case model::MtuFrom::kPort:
      return "port";
    case model::MtuFrom::kRoute:
      return "route";
    case model::MtuFrom::kPath:
      return "path";
    case model::MtuFrom::kInterface:
      break;
  }
  return "interface";
}

}  // namespace

Json vlan_json(uint16_t vlan) {
  return vlan == 0 ? Json(nullptr) : Json(vlan);
}

Json override_json(const model::Override& o) {
  return {{"uid", o.uid},
          {"login_uid", o.login_uid},
          {"reason", o.reason},
          {"since", o.since},
          {"expires", o.expires == 0 ? Json(nullptr) : Json(o.expires)}};
}

const std::string& why_not(const model::BackendState& state, model::Forward forward) {
  return forward == model::Forward::kDsr ? state.why_not_dsr : state.why_not_ipip;
}

View::View(Controller& controller, Flows flows) : controller_(controller), traffic_(controller.traffic()) {
  model::FlowTables* const tables = controller.engine().flows();
  if (flows == Flows::kCount && tables != nullptr) flows_ = tables->count();
  by_id_.resize(controller.snapshot().backends.size());
  for (const model::BackendState& s : controller.snapshot().leaving_states) by_id_[net::raw(s.id)] = &s;
  for (const model::BackendState& s : controller.snapshot().backend_states) {
    states_[s.pool][s.name] = &s;
    if (net::raw(s.id) < by_id_.size()) by_id_[net::raw(s.id)] = &s;
  }
  for (const auto& [name, service] : controller.config().services) users_[service.pool].push_back(&service);
}

const model::BackendState* View::state(const std::string& pool, const std::string& backend) const {
  const auto in_pool = states_.find(pool);
  if (in_pool == states_.end()) return nullptr;
  const auto it = in_pool->second.find(backend);
  return it == in_pool->second.end() ? nullptr : it->second;
}

const std::vector<const model::Service*>& View::users(const std::string& pool) const {
  static const std::vector<const model::Service*> kNone;
  const auto it = users_.find(pool);
  return it == users_.end() ? kNone : it->second;
}

size_t View::backends_of(const std::string& pool) const {
  const auto it = controller_.config().pools.find(pool);
  return it == controller_.config().pools.end() ? 0 : it->second.backends.size();
}

size_t View::eligible(const model::Service& service) const {
  const size_t index = net::raw(controller_.ids().service(service.name));
  const auto& counts = controller_.eligible();
  return index < counts.size() ? counts[index] : 0;
}

lb_traffic View::traffic(const model::Service& service) const {
  return at(traffic_.services, controller_.ids().service(service.name));
}

std::vector<std::string> View::not_eligible(const model::Service& service, bool with_weight_0) const {
  std::vector<std::string> list;
  const auto pool = controller_.config().pools.find(service.pool);
  if (pool == controller_.config().pools.end()) return list;
  for (const model::Backend& b : pool->second.backends) {
    const model::BackendState* s = state(service.pool, b.name);
    if (s == nullptr || why_not(*s, service.forward).empty() || (b.weight == 0 && !with_weight_0)) continue;
    list.push_back(fmt::format("{}/{}: {}", service.pool, b.name, why_not(*s, service.forward)));
  }
  return list;
}

Json View::service_row(const model::Service& service) const {
  Json listen = Json::array();
  for (const net::Listener& l : service.listen) listen.push_back(l.to_string());
  const lb_traffic t = traffic(service);
  return {{"name", service.name},          {"listen", std::move(listen)},
          {"pool", service.pool},          {"forward", model::to_string(service.forward)},
          {"eligible", eligible(service)}, {"backends", backends_of(service.pool)},
          {"packets", t.packets},          {"bytes", t.bytes}};
}

Json View::service(const model::Service& service) const {
  Json json = service_row(service);
  json["schedule"] = model::to_string(service.schedule);
  json["table_size"] = service.table_size;
  json["source_prefix"] = {service.prefix4, service.prefix6};
  json["on_no_listener"] = model::to_string(service.on_no_listener);
  json["announce"] = model::to_string(service.announce);
  return json;
}

Json View::pool(const model::Pool& pool) const {
  Json services = Json::array();
  bool dsr = false, ipip = false;
  for (const model::Service* s : users(pool.name)) {
    services.push_back(s->name);
    (s->forward == model::Forward::kDsr ? dsr : ipip) = true;
  }
  // Eligible for every mode in which the pool is used; an unused one is judged by ipip, the default.
  size_t eligible = 0;
  for (const model::Backend& b : pool.backends) {
    const model::BackendState* s = state(pool.name, b.name);
    if (s == nullptr) continue;
    eligible += (!dsr || s->why_not_dsr.empty()) && ((dsr && !ipip) || s->why_not_ipip.empty());
  }
  return {{"name", pool.name}, {"backends", pool.backends.size()}, {"eligible", eligible}, {"services", services}};
}

Json View::flows_of(net::BackendId id) const {
  if (!flows_ || net::raw(id) >= flows_->backends.size()) return nullptr;
  const model::BackendFlows& f = flows_->backends[net::raw(id)];
  return {{"once", f.once},       {"established", f.established},
          {"closing", f.closing}, {"udp", f.udp},
          {"total", f.total()},   {"idle_ms", f.total() == 0 ? Json(nullptr) : Json(f.idle_ms)}};
}

void View::add_reach(Json& json, const net::Address& address) const {
  json["port"] = json["vlan"] = json["next_hop"] = json["on_link"] = json["mtu"] = json["mtu_from"] = json["path_mtu"] =
      nullptr;
  const auto& reaches = controller_.topology().reach;
  const auto reach = reaches.find(address);
  if (reach == reaches.end() || !reach->second.resolved) return;
  json["port"] = controller_.config().daemon.port_name(net::raw(reach->second.port));
  json["vlan"] = vlan_json(reach->second.vlan);
  json["next_hop"] = reach->second.next_hop.to_string();
  json["on_link"] = reach->second.on_link;
  json["mtu"] = reach->second.mtu;
  json["mtu_from"] = word_of(reach->second.mtu_from);
  if (const PathMtu* path = controller_.topology_source().path_mtu(address)) {
    json["path_mtu"] = {
        {"mtu", path->mtu}, {"from", path->from.to_string()}, {"since", path->since}, {"expires", path->expires}};
  }
}

// What cannot be repaired: IPv6 asks every link for 1,280 bytes, and nobody on the way may fragment (RFC 8200 section
// 5). Empty: it does not happen to any service of the backend.
std::string View::ipv6_floor(const Selected& selected) const {
  const net::Address& address = selected.backend->address;
  const auto reach = controller_.topology().reach.find(address);
  if (reach == controller_.topology().reach.end() || !reach->second.resolved) return {};
  const auto carries_ipv6 = [](const model::Service* s) {
    return s->forward != model::Forward::kDsr &&
           std::ranges::any_of(s->listen, [](const net::Listener& l) { return !l.address.is_ipv4(); });
  };
  const uint32_t outer = address.is_ipv4() ? sizeof(lb_ipv4) : sizeof(lb_ipv6), mtu = reach->second.mtu;
  if (mtu >= LB_IPV6_LEAST_MTU + outer || std::ranges::none_of(users(selected.pool->name), carries_ipv6)) return {};
  return fmt::format("IPv6 packets of {} bytes do not fit: MTU {}, {} bytes of outer header", LB_IPV6_LEAST_MTU, mtu,
                     outer);
}

namespace {

void add_state(Json& json, const model::BackendState& s, const lb_traffic& t) {
  json["id"] = net::raw(s.id);
  json["eligible"] = {{"ipip", s.why_not_ipip.empty()}, {"dsr", s.why_not_dsr.empty()}};
  json["why"] = {{"ipip", s.why_not_ipip}, {"dsr", s.why_not_dsr}};
  json["packets"] = t.packets;
  json["bytes"] = t.bytes;
}

}  // namespace

Json View::backend(const Selected& selected) const {
  const model::Backend& b = *selected.backend;
  Json used_by = Json::array();
  for (const model::Service* s : users(selected.pool->name)) {
    used_by.push_back({{"service", s->name}, {"forward", model::to_string(s->forward)}});
  }
  const auto& drained = controller_.overlay().drained;
  const auto drain = drained.find({selected.pool->name, b.name});
  Json json = {{"pool", selected.pool->name},
               {"name", b.name},
               {"address", b.address.to_string()},
               {"weight", b.weight},
               {"labels", b.labels},
               {"admin", drain == drained.end() ? "ready" : "drain"},
               {"override", drain == drained.end() ? Json(nullptr) : override_json(drain->second)},
               {"leaving", nullptr},
               {"flows", nullptr},
               {"used_by", std::move(used_by)}};
  add_reach(json, b.address);
  const std::string floor = ipv6_floor(selected);
  json["warning"] = floor.empty() ? Json(nullptr) : Json(floor);
  if (const model::BackendState* s = state(selected.pool->name, b.name)) {
    add_state(json, *s, at(traffic_.backends, s->id));
    json["flows"] = flows_of(s->id);
  }
  return json;
}

Json View::leaving(const model::BackendState& s) const {
  const model::Leaving& times = controller_.overlay().leaving.at({s.pool, s.name, s.address});
  Json json = {{"pool", s.pool},
               {"name", s.name},
               {"address", s.address.to_string()},
               {"weight", 0},
               {"labels", Json::object()},
               {"admin", "leaving"},
               {"override", nullptr},
               {"leaving", {{"since", times.since}, {"until", times.until}}},
               {"flows", flows_of(s.id)},
               {"used_by", Json::array()},
               {"warning", nullptr}};
  add_reach(json, s.address);
  add_state(json, s, at(traffic_.backends, s.id));
  return json;
}

Json View::backend_services(const Selected& selected) const {
  Json list = Json::array();
  const model::BackendState* s = state(selected.pool->name, selected.backend->name);
  for (const model::Service* service : users(selected.pool->name)) {
    const lb_service* compiled = service_at(controller_.snapshot(), net::raw(controller_.ids().service(service->name)));
    if (s == nullptr || compiled == nullptr) continue;
    // A dsr service with listeners of both families has two tables: this backend is in that of its own.
    const auto slots = controller_.snapshot().table_of(*compiled, selected.backend->address.family());
    const auto mine = std::count(slots.begin(), slots.end(), net::raw(s->id));
    list.push_back({{"service", service->name},
                    {"forward", model::to_string(service->forward)},
                    {"eligible", why_not(*s, service->forward).empty()},
                    {"why", why_not(*s, service->forward)},
                    {"slots", mine},
                    {"share", static_cast<double>(mine) / static_cast<double>(slots.size())}});
  }
  return list;
}

Json View::address_of(net::BackendId id) const {
  const model::BackendState* s = net::raw(id) < by_id_.size() ? by_id_[net::raw(id)] : nullptr;
  if (s == nullptr) return nullptr;
  return {{"pool", s->pool}, {"name", s->name}, {"address", s->address.to_string()}};
}

}  // namespace lb::ctl
