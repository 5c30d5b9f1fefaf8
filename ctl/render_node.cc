// The node for people: what it announces.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

std::string moment(const json& object, std::string_view key) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(number_of(object, key))));
}

Cell drain_cell(const json& node) {
  const json& by = member(node, "drained");
  if (!by.is_object()) return {flag_of(node, "stopping") ? "no, but lbd is stopping" : "no"};
  std::string text = fmt::format("since {} by uid {}", moment(by, "since"), text_of(by, "uid"));
  if (const std::string reason = text_of(by, "reason"); !reason.empty() && reason != "-") text += ": " + reason;
  if (member(by, "expires").is_number()) text += ", until " + moment(by, "expires");
  return {text + "; `lbctl node ready` ends that", Tone::kBad};
}

}  // namespace

void view_node(const json& node, Text& text) {
  const json& vips = member(node, "vips");
  const auto announced =
      !vips.is_array() ? 0 : std::ranges::count_if(vips, [](const json& v) { return flag_of(v, "announced"); });
  const size_t all = vips.is_array() ? vips.size() : 0;
  const bool tracked = member(node, "flows").is_number();
  const uint64_t dropped = number_of(node, "vip_packets_dropped");
  text.facts({{"engine", {text_of(node, "engine")}},
              {"drained", drain_cell(node)},
              {"announced",
               {fmt::format("{} of {}", announced, plural(all, "VIP")),
                static_cast<size_t>(announced) < all ? Tone::kBad : Tone::kPlain}},
              {"flows left", {tracked ? human(number_of(node, "flows")) : "not tracked: daemon.flows is 0"}},
              {"dropped",
               {dropped == 0 ? "" : fmt::format("{} packets that this host itself sent to them", human(dropped))}}});
  if (all == 0) return text.line("No service has `announce: on`.");
  std::vector<std::vector<Cell>> rows;
  for (const json& v : vips) {
    const bool yes = flag_of(v, "announced");
    rows.push_back({text_cell(v, "address"),
                    yes ? Cell{"yes", Tone::kGood} : Cell{"no", Tone::kBad},
                    text_cell(v, "services"),
                    {text_of(v, "why")}});
  }
  text.blank();
  text.table({"address", "announced", "services", "why not"}, rows);
}

}  // namespace lb::ctl
