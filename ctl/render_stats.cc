// Counters for people: workers, ports, drops, services, backends; and the summary of all that, bad news first.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"
#include "dataplane/model/counters.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

uint64_t dropped(const json& counters) {
  uint64_t sum = 0;
  for (const auto& info : model::counters()) {
    if (info.is_drop) sum += number_of(counters, info.name);
  }
  return sum;
}

std::vector<Cell> worker_row(const Cell& worker, const json& w, const json& counters) {
  const uint64_t drops = dropped(counters);
  return {worker,
          exact_cell(w, "core"),
          exact_cell(w, "generation"),
          count_cell(counters, "rx_packets"),
          count_cell(counters, "rx_bytes"),
          count_cell(counters, "forwarded"),
          count_cell(counters, "forwarded_bytes"),
          count_cell(counters, "answered"),
          count_cell(counters, "punted"),
          {human(drops), drops > 0 ? Tone::kBold : Tone::kPlain, true}};
}

void view_workers(const json& result, Text& text) {
  const json& workers = member(result, "workers");
  if (!workers.is_array() || workers.empty()) return text.line("no workers");
  std::vector<std::vector<Cell>> rows;
  for (const json& w : workers) rows.push_back(worker_row(worker_cell(w, "name"), w, member(w, "counters")));
  if (const json& totals = member(result, "totals"); totals.is_object() && workers.size() > 1) {
    rows.push_back(worker_row({"all"}, json::object(), totals));
  }
  text.table({"worker", "core", "generation", "rx packets", "rx bytes", "forwarded packets", "forwarded bytes",
              "answered packets", "punted packets", "dropped packets"},
             rows);
}

struct Drop {
  std::string reason, help;
  uint64_t packets;
};

void view_drop_rows(std::vector<Drop> drops, Text& text) {
  std::erase_if(drops, [](const Drop& d) { return d.packets == 0; });
  if (drops.empty()) return text.line("no packet was dropped");
  std::stable_sort(drops.begin(), drops.end(), [](const Drop& a, const Drop& b) { return a.packets > b.packets; });
  std::vector<std::vector<Cell>> rows;
  for (const Drop& d : drops) rows.push_back({{d.reason}, {human(d.packets), Tone::kBold, true}, {d.help}});
  text.table({"dropped", "packets", "because"}, rows);
}

void view_headline(const json& s, Text& text) {
  const auto problems = texts_of(s, "problems");
  const json& drift = member(s, "drift");
  const bool drifted = drift.is_object();
  std::vector<std::string> news;
  if (drifted) news.push_back("drift");
  if (!problems.empty()) news.push_back(plural(problems.size(), "problem"));
  const std::string facts =
      fmt::format("lbd {}, engine {}, up {}, revision {}, generation {}", text_of(s, "version"), text_of(s, "engine"),
                  duration(number_of(s, "uptime_s")), text_of(s, "revision"), text_of(s, "generation"));
  if (news.empty()) return text.line(fmt::format("{}: ok; {}", text_of(s, "node"), facts), Tone::kGood);
  text.line(fmt::format("{}: {}; {}", text_of(s, "node"), join(news), facts), Tone::kBad);
  if (drifted) {
    const std::string file = text_of(drift, "file");
    text.line(fmt::format("- drift: {} is not what runs, {}; `lbctl config diff {}` shows all", file,
                          text_of(drift, "why"), file));
  }
  for (const std::string& problem : problems) text.line("- " + problem);
}

// A page: of many services those with the smallest share of eligible backends, then the busiest.
void view_worst_services(const json& s, Text& text) {
  constexpr size_t kShown = 20;
  const json& all = member(s, "services");
  if (!all.is_array() || all.size() <= kShown) return view_services(s, text);
  std::vector<json> services(all.begin(), all.end());
  const auto health = [](const json& one) {
    return static_cast<double>(number_of(one, "eligible")) /
           static_cast<double>(std::max<uint64_t>(number_of(one, "backends"), 1));
  };
  std::stable_sort(services.begin(), services.end(), [&](const json& a, const json& b) {
    return std::pair(health(a), number_of(b, "packets")) < std::pair(health(b), number_of(a, "packets"));
  });
  services.resize(kShown);
  view_services({{"services", services}}, text);
  text.line(fmt::format("and {} services more, healthier or less busy: `lbctl service list`", all.size() - kShown));
}

// What waits for its first fragment, and what was handed from worker to worker, is told where there is such a thing;
// the difference lies in the workers' rings.
std::string verdict_sum(const json& totals) {
  std::string sum = fmt::format("{} received = {} forwarded + {} answered + {} punted + {} dropped",
                                number_of(totals, "rx_packets"), number_of(totals, "forwarded"),
                                number_of(totals, "answered"), number_of(totals, "punted"), dropped(totals));
  if (const uint64_t held = number_of(totals, "held"); held > 0) sum += fmt::format(" + {} held", held);
  const uint64_t out = number_of(totals, "handed_out"), in = number_of(totals, "handed_in");
  if (out == 0 && in == 0) return sum;
  return fmt::format("{} + {} on the way between workers ({} handed over)", sum, out > in ? out - in : 0, out);
}

// How full the flow table is, and what is not as configured.
void view_state_line(const json& s, Text& text) {
  std::vector<std::string> parts;
  if (const json& flows = member(s, "flows"); flows.is_object())
    parts.push_back(
        fmt::format("{} of {} flows", human(number_of(flows, "live")), human(number_of(flows, "capacity"))));
  if (const uint64_t n = number_of(s, "drained"); n > 0) parts.push_back(plural(n, "backend") + " drained");
  if (const uint64_t n = number_of(s, "leaving"); n > 0) parts.push_back(plural(n, "backend") + " leaving");
  if (!parts.empty()) text.line(join(parts));
}

}  // namespace

void view_summary(const json& s, Text& text) {
  view_headline(s, text);
  view_state_line(s, text);
  text.blank();
  view_worst_services(s, text);
  text.blank();
  view_workers(s, text);
  const json& totals = member(s, "totals");
  if (dropped(totals) == 0) return;
  text.blank();
  std::vector<Drop> drops;
  for (const auto& info : model::counters()) {
    if (info.is_drop) drops.push_back({std::string(info.name), std::string(info.help), number_of(totals, info.name)});
  }
  view_drop_rows(std::move(drops), text);
}

void view_stats(const json& s, Text& text) {
  view_stats_workers(s, text);
  text.blank();
  view_stats_ports(s, text);
  text.blank();
  view_stats_drops(s, text);
  if (member(s, "flows").is_null()) return;
  text.blank();
  view_stats_flows(s, text);
}

void view_stats_workers(const json& s, Text& text) {
  view_workers(s, text);
  const std::string rule = verdict_sum(member(s, "totals"));
  if (flag_of(s, "balanced")) return text.line(rule);
  text.line("the sum does not hold: " + rule + "; this is a fault of lbd, please report it", Tone::kBad);
}

void view_stats_services(const json& s, Text& text) {
  std::vector<std::vector<Cell>> rows;
  for (const json& row : member(s, "services")) {
    rows.push_back({text_cell(row, "name"), count_cell(row, "packets"), count_cell(row, "bytes")});
  }
  if (rows.empty()) return text.line("no services");
  text.table({"service", "packets", "bytes"}, rows);
}

void view_stats_backends(const json& s, Text& text) {
  std::vector<std::vector<Cell>> rows;
  for (const json& row : member(s, "backends")) {
    rows.push_back({{text_of(row, "pool") + "/" + text_of(row, "name")},
                    text_cell(row, "address"),
                    count_cell(row, "packets"),
                    count_cell(row, "bytes")});
  }
  if (rows.empty()) return text.line("no backends");
  text.table({"backend", "address", "packets", "bytes"}, rows);
}

void view_stats_ports(const json& s, Text& text) {
  const auto lost = [](const json& row, std::string_view key) {
    Cell cell = count_cell(row, key);
    if (number_of(row, key) > 0) cell.tone = Tone::kBad;
    return cell;
  };
  std::vector<std::vector<Cell>> rows;
  for (const json& row : member(s, "ports")) {
    const bool up = flag_of(row, "link") || text_of(row, "link") == "up";
    rows.push_back({text_cell(row, "name"), text_cell(row, "device"), text_cell(row, "driver"), text_cell(row, "mac"),
                    up ? Cell{"up", Tone::kGood} : Cell{"down", Tone::kBad}, exact_cell(row, "mtu"),
                    exact_cell(row, "queues"), count_cell(row, "rx_packets"), count_cell(row, "rx_bytes"),
                    lost(row, "rx_lost"), count_cell(row, "tx_packets"), count_cell(row, "tx_bytes"),
                    lost(row, "tx_lost")});
  }
  if (rows.empty()) return text.line("no ports");
  text.table({"port", "device", "driver", "mac", "link", "mtu bytes", "queues", "rx packets", "rx bytes", "rx lost",
              "tx packets", "tx bytes", "tx lost"},
             rows);
}

void view_stats_drops(const json& s, Text& text) {
  std::vector<Drop> drops;
  for (const json& row : member(s, "drops")) {
    drops.push_back({text_of(row, "reason"), text_of(row, "help"), number_of(row, "packets")});
  }
  view_drop_rows(std::move(drops), text);
}

}  // namespace lb::ctl
