// node.status, drain, ready: this node among those that routers know.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_announce.h"
#include "ctl/json_change.h"
#include "ctl/json_view.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

net::Result<Json> status(Call& call) {
  if (auto fault = call.fault()) return *fault;
  Controller& control = call.control();
  const auto& drain = control.overlay().node_drain;
  const Announcer* const announcer = call.node.announcer;
  Json json = {{"engine", control.config().daemon.engine},
               {"drained", drain ? override_json(*drain) : Json(nullptr)},
               {"stopping", announcer != nullptr && announcer->is_stopping()},
               {"vips", vips_json(call.node)},
               {"flows", nullptr},
               {"vip_packets_dropped", announcer == nullptr ? 0 : announcer->dropped()}};
  if (model::FlowTables* const flows = control.engine().flows(); flows != nullptr) json["flows"] = flows->count().live;
  return json;
}

net::Result<Json> drain(Call& call) {
  const auto expires = read_expiry(call);
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  model::Overlay overlay = call.control().overlay();
  std::vector<std::string> lines;
  if (!overlay.node_drain) overlay.node_drain.emplace();
  if (take_override(*overlay.node_drain, expires, call.control().now(), options))
    lines.push_back(fmt::format("~ node: drain{}", expires_text(expires)));
  auto result = call.control().use_overrides(std::move(overlay), std::move(lines), options);
  if (!result) return std::move(result).error();
  if (call.node.announcer == nullptr || call.node.announcer->vips().empty())
    result->warnings.emplace_back(
        "no service has `announce: on`: what routers send here, they go on sending; change that at the routers");
  return change_json(*result);
}

net::Result<Json> ready(Call& call) {
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  model::Overlay overlay = call.control().overlay();
  std::vector<std::string> lines;
  if (overlay.node_drain) lines.emplace_back("~ node: ready");
  overlay.node_drain.reset();
  auto result = call.control().use_overrides(std::move(overlay), std::move(lines), options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

}  // namespace

std::span<const Method> node_methods() {
  static constexpr Method kMethods[] = {
      {"node.status", kReads, status}, {"node.drain", kChanges, drain}, {"node.ready", kChanges, ready}};
  return kMethods;
}

}  // namespace lb::ctl
