// The engine for people: with a daemon, and what an XDP engine does without one.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

std::string memory(uint64_t bytes) {
  return fmt::format("{}B", human(bytes));
}

std::string after(const json& e) {
  return member(e, "orphan_after_s").is_null() ? "for ever" : "for " + duration(number_of(e, "orphan_after_s"));
}

// answers: the daemon, which knows more of them.
void view_programs(const json& e, bool answers, Text& text) {
  const json& programs = member(e, "programs");
  if (!programs.is_array() || programs.empty()) return;
  std::vector<std::vector<Cell>> rows;
  for (const json& p : programs) {
    if (answers)
      rows.push_back({text_cell(p, "interface"),
                      text_cell(p, "mode"),
                      exact_cell(p, "queues"),
                      exact_cell(p, "program"),
                      exact_cell(p, "instructions"),
                      {flag_of(p, "adopted") ? "replaced a former lbd's" : "attached by this lbd"}});
    else
      rows.push_back({text_cell(p, "interface"),
                      exact_cell(p, "program"),
                      {flag_of(p, "attached") ? "attached" : "the interface is gone"}});
  }
  text.blank();
  if (answers)
    text.table({"interface", "mode", "queues", "program", "verified instructions", "how"}, rows);
  else
    text.table({"interface", "program", "state"}, rows);
}

void view_engine_workers(const json& e, Text& text) {
  const json& workers = member(e, "workers");
  if (!workers.is_array() || workers.empty()) return;
  std::vector<std::vector<Cell>> rows;
  for (const json& w : workers)
    rows.push_back({worker_cell(w, "name"), exact_cell(w, "core"), exact_cell(w, "generation")});
  text.blank();
  text.table({"worker", "core", "generation"}, rows);
}

std::string flow_memory(const json& e) {
  const uint64_t bytes = number_of(e, "flow_bytes");
  if (bytes == 0) return "nothing is tracked: daemon.flows is 0";
  return fmt::format("{} flows in {}", human(number_of(e, "flow_capacity")), memory(bytes));
}

void view_with_daemon(const json& e, Text& text) {
  text.line(fmt::format("engine {} on {}; lbd {} with pid {}, up {}, generation {}", text_of(e, "engine"),
                        text_of(e, "platform"), text_of(e, "version"), text_of(e, "pid"),
                        duration(number_of(e, "uptime_s")), text_of(e, "generation")),
            Tone::kBold);
  const json &huge = member(e, "huge_pages"), &beat = member(e, "heartbeat_ms");
  text.facts({{"huge pages",
               {huge.is_null()             ? ""
                : flag_of(e, "huge_pages") ? "yes"
                                           : "no"}},
              {"flow table", {flow_memory(e)}},
              {"heartbeat",
               {beat.is_null() ? ""
                               : fmt::format("{} ms ago; without one the programs go on {}",
                                             number_of(e, "heartbeat_ms"), after(e))}}});
  view_programs(e, true, text);
  view_engine_workers(e, text);
}

// Who they are of, and how long ago that one was heard of; of an lbd of another version nothing is known.
std::string whose(const json& e) {
  if (member(e, "pid").is_null()) return "XDP programs of an lbd of another version";
  return fmt::format("the XDP programs of lbd (pid {}), silent for {},", text_of(e, "pid"),
                     duration(number_of(e, "heartbeat_ms") / 1000));
}

std::string still_text(const json& e) {
  if (!flag_of(e, "forwards")) return whose(e) + " are attached but leave every packet to the kernel";
  if (member(e, "pid").is_null()) return whose(e) + " still forward";
  if (member(e, "ends_in_s").is_null())
    return whose(e) + " still forward; that has no end (daemon.orphan-after: never)";
  return fmt::format("{} still forward; that ends in {}", whose(e), duration(number_of(e, "ends_in_s")));
}

void view_without_daemon(const json& e, Text& text) {
  const bool any = !member(e, "programs").empty();
  if (any)
    text.line(still_text(e), Tone::kBad);
  else
    text.line("no XDP program is attached", Tone::kBold);
  if (flag_of(e, "daemon"))
    text.line("- an lbd has them in use and does not answer at its socket: see its log");
  else if (any)
    text.line(fmt::format("- start lbd: it takes over, with every flow; or take them off: lbctl engine detach{}",
                          flag_of(e, "forwards") ? " --force" : ""));
  if (const uint64_t bytes = number_of(e, "flow_bytes"); bytes != 0 && !flag_of(e, "daemon"))
    text.line(fmt::format("- flow tables of {} are kept for the next lbd", memory(bytes)));
  view_programs(e, false, text);
}

}  // namespace

void view_engine(const json& e, Text& text) {
  if (flag_of(e, "daemon") && member(e, "workers").is_array()) return view_with_daemon(e, text);
  view_without_daemon(e, text);
}

void view_engine_detach(const json& e, Text& text) {
  if (!flag_of(e, "changed")) return text.line(text_of(e, "message"));
  const bool dry_run = flag_of(e, "dry_run");
  for (const json& p : member(e, "programs")) {
    const char* what = !flag_of(p, "attached") ? "the interface is gone"
                       : dry_run               ? "the program would be taken off"
                                               : "the program is off, the kernel gets every packet";
    text.line(fmt::format("{}: {}", text_of(p, "interface"), what));
  }
  if (const uint64_t bytes = number_of(e, "flow_bytes"); bytes != 0)
    text.line(fmt::format("flow tables of {}: {}", memory(bytes), dry_run ? "would be given back" : "given back"));
}

}  // namespace lb::ctl
