// table.digest: equal digests on two nodes are equal tables; what makes `live` differ from `configured` is listed.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_view.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

net::Result<Json> digest(Call& call) {
  const bool one = call.params.has("service");
  const std::string wanted = call.params.text_or("service", "");
  if (auto fault = call.fault()) return *fault;
  const Controller& control = call.control();
  const auto& services = control.config().services;
  if (one && !services.contains(wanted)) {
    return net::Error{net::Code::kNotFound, fmt::format("there is no service `{}`", wanted.substr(0, 80))};
  }
  const View view(call.control());
  Json list = Json::array();
  for (const auto& [name, service] : services) {
    if (one && name != wanted) continue;
    list.push_back({{"service", name},
                    {"configured", model::digest_text(control.snapshot().configured.at(name))},
                    {"live", model::digest_text(control.snapshot().live.at(name))},
                    {"table_size", service.table_size},
                    {"why", view.not_eligible(service, false)}});
  }
  return Json{{"services", std::move(list)}};
}

}  // namespace

std::span<const Method> table_methods() {
  static constexpr Method kMethods[] = {{"table.digest", kReads, digest}};
  return kMethods;
}

}  // namespace lb::ctl
