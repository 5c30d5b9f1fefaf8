#include "ctl/json_announce.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "ctl/json_view.h"
#include "ctl/selector.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

Json vip_json(const net::Address& address, const Vip& vip) {
  return {{"address", address.to_string()}, {"announced", vip.announced}, {"why", vip.why}};
}

// "since 2026-01-02 03:04:05 UTC by uid 0 (new kernel)"
std::string said_of(const model::Override& by) {
  std::string text =
      fmt::format("since {:%Y-%m-%d %H:%M:%S} UTC by uid {}", fmt::gmtime(std::time_t{by.since}), by.uid);
  if (!by.reason.empty()) text += fmt::format(" ({})", by.reason);
  return text;
}

bool is_service_withdrawn(const model::Overlay& overlay, const Vip& vip) {
  return std::ranges::all_of(vip.services, [&](const std::string& s) { return overlay.withdrawn.contains(s); });
}

}  // namespace

Json announcement_json(const Node& node, const model::Service& service) {
  if (service.announce == model::Announce::kOff || node.announcer == nullptr) return nullptr;
  Json vips = Json::array();
  bool all = true;
  std::optional<net::Address> last;  // listeners are sorted by address
  for (const net::Listener& l : service.listen) {
    const auto vip = node.announcer->vips().find(l.address);
    if (last == l.address || vip == node.announcer->vips().end()) continue;
    last = l.address;
    all &= vip->second.announced;
    vips.push_back(vip_json(l.address, vip->second));
  }
  const auto& withdrawn = node.controller.overlay().withdrawn;
  const auto by = withdrawn.find(service.name);
  return {{"announced", all},
          {"withdrawn", by == withdrawn.end() ? Json(nullptr) : override_json(by->second)},
          {"vips", std::move(vips)}};
}

Json vips_json(const Node& node) {
  Json vips = Json::array();
  if (node.announcer == nullptr) return vips;
  for (const auto& [address, vip] : node.announcer->vips()) {
    vips.push_back(vip_json(address, vip));
    vips.back()["services"] = vip.services;
  }
  return vips;
}

std::vector<std::string> announce_problems(const Node& node) {
  std::vector<std::string> problems;
  const model::Overlay& overlay = node.controller.overlay();
  if (node.announcer != nullptr && node.announcer->is_stopping())
    problems.emplace_back("lbd is stopping: nothing is announced any more, what comes is forwarded until the end");
  if (overlay.node_drain)
    problems.push_back(fmt::format("the node is drained {}: nothing is announced; `lbctl node ready` ends that",
                                   said_of(*overlay.node_drain)));
  if (node.announcer == nullptr) return problems;
  std::map<std::string, std::vector<std::string>> by_why;
  for (const auto& [address, vip] : node.announcer->vips()) {
    if (vip.why.empty() || (!vip.wanted && (overlay.node_drain || node.announcer->is_stopping()))) continue;
    const bool told = is_service_withdrawn(overlay, vip);
    const char* how = vip.announced ? "is still announced" : "is not announced";
    by_why[fmt::format("{}: {}{}", how, vip.why, told ? "; `lbctl service announce` ends that" : "")].push_back(
        address.to_string());
  }
  for (const auto& [why, addresses] : by_why) problems.push_back(fmt::format("{} {}", some_of(addresses, 3), why));
  return problems;
}

void tell_not_announced(const Node& node, const std::string& service, ChangeResult& result) {
  if (node.announcer == nullptr) return;
  for (const auto& [address, vip] : node.announcer->vips())
    if (!vip.announced && std::ranges::find(vip.services, service) != vip.services.end())
      result.warnings.push_back(fmt::format("{} is not announced: {}", address.to_string(), vip.why));
}

bool take_override(model::Override& by, std::optional<int64_t> expires_s, int64_t now, const ChangeOptions& options) {
  const model::Override next{.uid = options.author.uid,
                             .login_uid = options.author.login_uid,
                             .reason = options.reason,
                             .since = now,
                             .expires = expires_s ? now + *expires_s : 0};
  if (by.since != 0 && by.expires == next.expires && by.reason == next.reason) return false;
  by = next;
  return true;
}

std::string expires_text(std::optional<int64_t> expires_s) {
  return expires_s ? fmt::format(" for {} s", *expires_s) : "";
}

}  // namespace lb::ctl
