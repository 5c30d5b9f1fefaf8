// What a packet gets, for people: a paragraph for one flow, a table for many.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"
#include "dataplane/model/counters.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

std::string backend_name(const json& answer) {
  const json& b = member(answer, "backend");
  return b.is_object() ? text_of(b, "pool") + "/" + text_of(b, "name") : "-";
}

// A flow that has an entry keeps its backend, whatever the table says today.
std::string tracked_text(const json& a) {
  if (!member(a, "tracked").is_string()) return "";
  const std::string known = fmt::format(": {} flow", text_of(a, "tracked"));
  const json& chosen = member(a, "chosen");
  if (!flag_of(a, "pinned") || !chosen.is_object()) return known;
  return fmt::format("{}; a new one would go to {}/{}", known, text_of(chosen, "pool"), text_of(chosen, "name"));
}

std::string help_of(const std::string& reason) {
  for (const auto& info : model::counters()) {
    if (info.name == reason) return std::string(info.help);
  }
  return "";
}

// What comes back, by what the packet would have been dropped for.
std::string answer_name(const json& a) {
  const std::string reason = text_of(a, "reason");
  const json& answer = member(a, "answer");
  if (member(answer, "mtu").is_number())
    return fmt::format("with {}, MTU {}: it is too large for the way to {}", text_of(answer, "kind"),
                       text_of(answer, "mtu"), backend_name(a));
  if (reason == "echo_limited") return "with an echo reply";
  if (reason == "ttl_expired") return "with time exceeded: it has no hop left";
  if (reason == "too_big") return "with the size that would fit: it is too large for the way to the backend";
  if (reason != "no_listener") return "for " + reason;
  const bool tcp = text_of(member(a, "flow"), "proto") == "tcp";
  return tcp ? "with a reset: nobody listens there" : "with port unreachable: nobody listens there";
}

std::string flow_text(const json& answer) {
  const json& f = member(answer, "flow");
  if (!f.is_object()) return "this packet";
  return fmt::format("{} {} -> {}", text_of(f, "proto"), text_of(f, "source"), text_of(f, "destination"));
}

// What its sender is told, and what becomes of one that may be fragmented.
void view_answer(const json& a, Text& text) {
  text.line(fmt::format("{} is answered {}.", flow_text(a), answer_name(a)), Tone::kGood);
  if (text_of(a, "without_df") == "split") text.line("Without DF it is sent in fragments that fit.");
}

void view_verdict(const json& a, Text& text) {
  const std::string verdict = text_of(a, "verdict"), flow = flow_text(a);
  if (verdict == "forwarded") {
    const std::string address = text_of(member(a, "backend"), "address");
    return text.line(fmt::format("{} is forwarded to {} ({}){}.", flow, backend_name(a), address, tracked_text(a)),
                     Tone::kGood);
  }
  if (verdict == "answered") return view_answer(a, text);
  if (verdict == "punted") return text.line(flow + " is left to the kernel: its destination is no listener's address.");
  const std::string reason = text_of(a, "reason");
  text.line(fmt::format("{} is {}: {} ({}).", flow, verdict, reason, help_of(reason)), Tone::kBad);
}

std::string present(const json& object, std::string_view key) {
  return member(object, key).is_null() ? "" : text_of(object, key);
}

std::string outer_text(const json& a) {
  const json& outer = member(a, "outer");
  if (outer.is_string()) return outer.get<std::string>();
  if (!outer.is_object()) return "";
  return fmt::format("{} -> {}", text_of(outer, "source"), text_of(outer, "destination"));
}

void view_one(const json& a, Text& text) {
  view_verdict(a, text);
  const std::string slot = present(a, "slot"), hash = present(a, "hash");
  const json& egress = member(a, "egress");
  const std::string to = member(egress, "dst_mac").is_null() ? "who sent it" : text_of(egress, "dst_mac");
  const bool leaves = text_of(a, "verdict") == "forwarded" || text_of(a, "verdict") == "answered";
  text.facts({
      {"  listener", {present(a, "listener")}},
      {"  service", {present(a, "service")}},
      {"  schedule", {present(a, "schedule")}},
      {"  hash", {hash}},
      {"  slot", {slot}},
      {"  forward", {present(a, "forward")}},
      {"  outer", {outer_text(a)}},
      {"  egress",
       {egress.is_object() ? fmt::format("port {}{}, MAC {} -> {}", text_of(egress, "port"), vlan_text(egress),
                                         text_of(egress, "src_mac"), to)
                           : ""}},
      {"  size",
       {leaves ? fmt::format("{} bytes in, {} bytes out", text_of(a, "in_bytes"), text_of(a, "out_bytes"))
               : text_of(a, "in_bytes") + " bytes"}},
      {"  generation", {present(a, "generation")}},
  });
}

}  // namespace

void view_explain(const json& result, Text& text) {
  const json& answers = member(result, "answers");
  if (!answers.is_array() || answers.empty()) return text.line("nothing to explain");
  if (answers.size() == 1) return view_one(answers[0], text);
  std::vector<std::vector<Cell>> rows;
  for (const json& a : answers) {
    const json& f = member(a, "flow");
    const std::string reason = present(a, "reason");
    rows.push_back({text_cell(f, "proto"),
                    text_cell(f, "source"),
                    text_cell(f, "destination"),
                    {text_of(a, "verdict") + (reason.empty() ? "" : "(" + reason + ")")},
                    text_cell(a, "service"),
                    exact_cell(a, "slot"),
                    {backend_name(a)},
                    {text_of(member(a, "backend"), "address")}});
  }
  text.table({"proto", "source", "destination", "verdict", "service", "slot", "backend", "address"}, rows);
}

}  // namespace lb::ctl
