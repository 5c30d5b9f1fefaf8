// pool.list, show, add, set, remove
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_change.h"
#include "ctl/json_view.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

net::Error unknown(const model::Config& config, const std::string& name) {
  std::vector<std::string> there;
  for (const auto& [known, pool] : config.pools) there.push_back(known);
  return {net::Code::kNotFound, fmt::format("there is no pool `{}`; there are: {}", name.substr(0, 80),
                                            there.empty() ? "none" : some_of(there))};
}

net::Result<Json> list(Call& call) {
  if (auto fault = call.fault()) return *fault;
  const View view(call.control());
  Json pools = Json::array();
  for (const auto& [name, pool] : call.control().config().pools) pools.push_back(view.pool(pool));
  return Json{{"pools", std::move(pools)}};
}

net::Result<Json> show(Call& call) {
  const std::string name = call.params.text("name");
  if (auto fault = call.fault()) return *fault;
  const auto& pools = call.control().config().pools;
  const auto it = pools.find(name);
  if (it == pools.end()) return unknown(call.control().config(), name);
  const View view(call.control(), View::Flows::kCount);
  Json json = view.pool(it->second);
  json["backends"] = Json::array();
  for (const model::Backend& b : it->second.backends) json["backends"].push_back(view.backend({&it->second, &b}));
  return json;
}

net::Result<Json> add(Call& call) {
  model::AddPool change;
  if (const Json* json = call.params.object("pool")) {
    Fields fields(*json, "pool.", call.params.faults());
    change.pool.name = fields.text("name");
    change.pool.backends = read_backends(fields, "backends");
    fields.finish();
  } else {
    call.params.missing("pool");
  }
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  return run_changes(call, {std::move(change)}, options);
}

net::Result<Json> set(Call& call) {
  const std::string name = call.params.text("name");
  std::vector<model::Backend> backends;
  if (const Json* json = call.params.object("set")) {
    Fields fields(*json, "set.", call.params.faults());
    backends = read_backends(fields, "backends");
    fields.finish();
  } else {
    call.params.missing("set");
  }
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  model::Config to = call.control().config();
  const auto it = to.pools.find(name);
  if (it == to.pools.end()) return unknown(to, name);
  it->second.backends = std::move(backends);
  model::canonicalize(it->second);
  auto result = call.control().replace(std::move(to), options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

net::Result<Json> remove(Call& call) {
  const std::string name = call.params.text("name");
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  return run_changes(call, {model::RemovePool{name}}, options);
}

}  // namespace

std::span<const Method> pool_methods() {
  static constexpr Method kMethods[] = {{"pool.list", kReads, list},
                                        {"pool.show", kReads, show},
                                        {"pool.add", kChanges, add},
                                        {"pool.set", kChanges, set},
                                        {"pool.remove", kChanges, remove}};
  return kMethods;
}

}  // namespace lb::ctl
