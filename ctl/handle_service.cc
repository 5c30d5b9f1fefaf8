// service.list, show, add, set, remove
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_change.h"
#include "ctl/json_view.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

net::Result<Json> list(Call& call) {
  if (auto fault = call.fault()) return *fault;
  const View view(call.control());
  Json services = Json::array();
  for (const auto& [name, service] : call.control().config().services) services.push_back(view.service(service));
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

}  // namespace

std::span<const Method> service_methods() {
  static constexpr Method kMethods[] = {{"service.list", kReads, list},
                                        {"service.show", kReads, show},
                                        {"service.add", kChanges, add},
                                        {"service.set", kChanges, set},
                                        {"service.remove", kChanges, remove}};
  return kMethods;
}

}  // namespace lb::ctl
