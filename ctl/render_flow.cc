// Flows for people: counts by backend, what was forgotten, what the flow table did.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

std::vector<Cell> count_row(const std::string& name, const std::string& address, const json& counts) {
  std::vector<Cell> row = {{name}, {address}};
  for (const char* key : {"once", "established", "closing", "udp", "total", "pinned"})
    row.push_back(exact_cell(counts, key));
  return row;
}

}  // namespace

void view_flow_count(const json& result, Text& text) {
  const json& backends = member(result, "backends");
  if (!backends.is_array() || backends.empty()) return text.line("no flows");
  std::vector<std::vector<Cell>> rows;
  for (const json& b : backends) {
    const json& who = member(b, "backend");
    const std::string name =
        who.is_object() ? text_of(who, "pool") + "/" + text_of(who, "name") : "id " + text_of(b, "id");
    rows.push_back(count_row(name, text_of(who, "address"), b));
  }
  if (rows.size() > 1) rows.push_back(count_row("all", "-", member(result, "totals")));
  text.table({"backend", "address", "once", "established", "closing", "udp", "total", "pinned"}, rows);
}

void view_flow_flush(const json& result, Text& text) {
  const std::string flows = plural(number_of(result, "flows"), "flow");
  if (flag_of(result, "dry_run")) return text.line(fmt::format("Dry run: {} would be forgotten.", flows));
  text.line(fmt::format("Done: {} forgotten.", flows));
}

void view_waited(const json& result, Text& text) {
  text.line("Done: " + text_of(result, "state") + ".");
}

void view_stats_flows(const json& result, Text& text) {
  const json& flows = member(result, "flows");
  if (!flows.is_object()) return text.line("no flows are tracked: daemon.flows is 0");
  text.line(fmt::format("{} of {} flows: {} once, {} established, {} closing, {} udp", number_of(flows, "live"),
                        number_of(flows, "capacity"), number_of(flows, "once"), number_of(flows, "established"),
                        number_of(flows, "closing"), number_of(flows, "udp")));
  std::vector<std::vector<Cell>> rows;
  for (const json& c : member(result, "flow_counters")) {
    if (number_of(c, "count") == 0) continue;
    rows.push_back({text_cell(c, "name"), count_cell(c, "count"), text_cell(c, "help")});
  }
  if (rows.empty()) return;
  text.blank();
  text.table({"flow table", "times", "what"}, rows);
}

}  // namespace lb::ctl
