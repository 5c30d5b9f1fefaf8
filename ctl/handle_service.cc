// service.list, show, add, set, remove
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "ctl/call.h"
#include "ctl/json_announce.h"
#include "ctl/json_change.h"
#include "ctl/json_view.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

net::Result<Json> list(Call& call) {
  if (auto fault = call.fault()) return *fault;
  const View view(call.control());
  Json services = Json::array();
  for (const auto& [name, service] : call.control().config().services) {
    services.push_back(view.service(service));
    services.back()["announcement"] = announcement_json(call.node, service);
  }
  return Json{{"services", std::move(services)}};
}

net::Error unknown(const model::Config& config, const std::string& name) {
  std::vector<std::string> there;
  for (const auto& [known, service] : config.services) there.push_back(known);
  return {net::Code::kNotFound, fmt::format("there is no service `{}`; there are: {}", name.substr(0, 80),
                                            there.empty() ? "none" : some_of(there))};
}

net::Result<Json> show(Call& call) {
  const std::string name = call.params.text("name");
  if (auto fault = call.fault()) return *fault;
  const Controller& control = call.control();
  const auto it = control.config().services.find(name);
  if (it == control.config().services.end()) return unknown(control.config(), name);
  const View view(call.control(), View::Flows::kCount);
  Json json = view.service(it->second);
  json["announcement"] = announcement_json(call.node, it->second);
  const model::Pool& pool = control.config().pools.at(it->second.pool);
  json["backends"] = Json::array();
  for (const model::Backend& b : pool.backends) json["backends"].push_back(view.backend({&pool, &b}));
  json["configured"] = model::digest_text(control.snapshot().configured.at(name));
  json["live"] = model::digest_text(control.snapshot().live.at(name));
  return json;
}

net::Result<Json> add(Call& call) {
  model::AddService change;
  if (const Json* json = call.params.object("service")) {
    Fields fields(*json, "service.", call.params.faults());
    change.service = read_service(fields);
    fields.finish();
  } else {
    call.params.missing("service");
  }
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  return run_changes(call, {std::move(change)}, options);
}

net::Result<Json> set(Call& call) {
  model::SetService change;
  const std::string name = call.params.text("name");
  if (const Json* json = call.params.object("set")) {
    Fields fields(*json, "set.", call.params.faults());
    change = read_service_set(fields, name);
    fields.finish();
  } else {
    call.params.missing("set");
  }
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  return run_changes(call, {std::move(change)}, options);
}

net::Result<Json> remove(Call& call) {
  const std::string name = call.params.text("name");
  ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  // Named: that is what the guard asks for.
  if (!options.allow_remove) options.allow_remove = 1;
  return run_changes(call, {model::RemoveService{name}}, options);
}

// Whether the service can be withdrawn or announced. ERRORS: there is none; it does not announce.
net::Status check_announces(const Controller& control, const std::string& name) {
  const auto it = control.config().services.find(name);
  if (it == control.config().services.end()) return unknown(control.config(), name);
  if (it->second.announce == model::Announce::kOn || control.overlay().withdrawn.contains(name)) return {};
  return net::Error{net::Code::kConflict,
                    fmt::format("service {0} has `announce: off`, so its addresses are not announced by lbd: `lbctl "
                                "service set {0} --announce on` changes that",
                                name)};
}

// Who else keeps these addresses announced: an operator who waits for the traffic to end would wait in vain.
void tell_shared(const Call& call, const std::string& service_name, ChangeResult& result) {
  if (call.node.announcer == nullptr) return;
  const model::Service& service = call.node.controller.config().services.at(service_name);
  const auto& withdrawn = call.node.controller.overlay().withdrawn;
  std::set<net::Address> told;
  for (const net::Listener& l : service.listen) {
    const auto vip = call.node.announcer->vips().find(l.address);
    if (vip == call.node.announcer->vips().end() || !told.insert(l.address).second) continue;
    std::vector<std::string> others;
    for (const std::string& name : vip->second.services)
      if (name != service.name && !withdrawn.contains(name)) others.push_back(name);
    if (others.empty()) continue;
    result.warnings.push_back(fmt::format("{} stays announced as long as {} {} it: withdraw that, too",
                                          l.address.to_string(), some_of(others),
                                          others.size() == 1 ? "announces" : "announce"));
  }
}

net::Result<Json> withdraw(Call& call) {
  const std::string name = call.params.text("name");
  const auto expires = read_expiry(call);
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  if (auto announces = check_announces(call.control(), name); !announces) return announces.error();
  model::Overlay overlay = call.control().overlay();
  std::vector<std::string> lines;
  if (take_override(overlay.withdrawn[name], expires, call.control().now(), options))
    lines.push_back(fmt::format("~ service {}: withdrawn{}", name, expires_text(expires)));
  auto result = call.control().use_overrides(std::move(overlay), std::move(lines), options);
  if (!result) return std::move(result).error();
  tell_shared(call, name, *result);
  return change_json(*result);
}

net::Result<Json> announce(Call& call) {
  const std::string name = call.params.text("name");
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  if (auto announces = check_announces(call.control(), name); !announces) return announces.error();
  model::Overlay overlay = call.control().overlay();
  std::vector<std::string> lines;
  if (overlay.withdrawn.erase(name) > 0) lines.push_back(fmt::format("~ service {}: announced", name));
  auto result = call.control().use_overrides(std::move(overlay), std::move(lines), options);
  if (!result) return std::move(result).error();
  if (!options.dry_run) tell_not_announced(call.node, name, *result);
  return change_json(*result);
}

}  // namespace

std::span<const Method> service_methods() {
  static constexpr Method kMethods[] = {
      {"service.list", kReads, list},          {"service.show", kReads, show},
      {"service.add", kChanges, add},          {"service.set", kChanges, set},
      {"service.remove", kChanges, remove},    {"service.withdraw", kChanges, withdraw},
      {"service.announce", kChanges, announce}};
  return kMethods;
}

}  // namespace lb::ctl
