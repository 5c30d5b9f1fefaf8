// Changes, configurations and digests for people.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

// Silent where nothing tracks flows, and of services that have none.
void view_flow_forecast(const json& f, Text& text) {
  if (number_of(f, "flows") == 0) return;
  const uint64_t lost = number_of(f, "flows_moved") + number_of(f, "flows_ended");
  text.line(fmt::format("  {}{}: {} keep a backend that the table would not choose, {} would be moved, {} would end",
                        flag_of(f, "about") ? "about " : "", plural(number_of(f, "flows"), "flow"),
                        number_of(f, "flows_pinned"), number_of(f, "flows_moved"), number_of(f, "flows_ended")),
            lost > 0 ? Tone::kBad : Tone::kPlain);
}

void view_forecast(const json& forecast, Text& text) {
  // At a thousand services only the first ones; the sum tells the rest.
  constexpr size_t kShown = 20;
  for (size_t i = 0; i < std::min(forecast.size(), kShown); i++) {
    const json& f = forecast[i];
    const uint64_t before = number_of(f, "eligible_before"), after = number_of(f, "eligible_after");
    text.line(fmt::format("service {}: {} of the slots move, eligible backends {} -> {}", text_of(f, "service"),
                          percent(share_of(f, "slots_moved")), before, after),
              after == 0 ? Tone::kBad : Tone::kPlain);
    view_flow_forecast(f, text);
  }
  if (forecast.size() > kShown) text.line(fmt::format("and {} more services", forecast.size() - kShown));
}

}  // namespace

Tone tone_of_change(std::string_view line) {
  if (line.starts_with("+")) return Tone::kGood;
  return line.starts_with("-") ? Tone::kBad : Tone::kPlain;
}

void view_change(const json& c, Text& text) {
  const auto lines = texts_of(c, "lines");
  for (const std::string& line : lines) text.line(line, tone_of_change(line));
  if (const json& forecast = member(c, "forecast"); forecast.is_array()) view_forecast(forecast, text);
  const auto restart = texts_of(c, "restart");
  for (const std::string& line : restart) text.line(line, Tone::kBold);
  const std::string revision = text_of(c, "revision");
  if (flag_of(c, "dry_run")) {
    text.line(lines.empty() ? fmt::format("No difference: revision {} would stay.", revision)
                            : fmt::format("Dry run, nothing changed: revision {} is in use.", revision));
  } else if (!flag_of(c, "changed")) {
    text.line(fmt::format("Nothing to change: revision {} stays.", revision));
  } else {
    text.line(fmt::format("Done: revision {}, generation {}, digest {}.", revision, text_of(c, "generation"),
                          text_of(c, "digest")));
  }
  if (const json& trial = member(c, "trial"); trial.is_object() && flag_of(c, "changed"))
    text.line(fmt::format("On trial: revision {} comes back at {} unless `lbctl config confirm` is said.",
                          text_of(trial, "back_to"), utc(trial, "until")),
              Tone::kBold);
}

void view_config(const json& c, Text& text) {
  text.verbatim(text_of(c, "text"));
}

void view_config_check(const json& c, Text& text) {
  const json& problems = member(c, "problems");
  const json& host = member(c, "host");
  for (const json& p : problems) text.line(text_of(p, "text"));
  for (const json& note : member(host, "notes")) text.line("note: " + text_of(note, "text"));
  const std::string valid =
      fmt::format("{}: valid: {}, {}, {}", text_of(c, "file"), plural(number_of(c, "services"), "service"),
                  plural(number_of(c, "pools"), "pool"), plural(number_of(c, "backends"), "backend"));
  if (flag_of(host, "judged") && !problems.empty())
    return text.line(fmt::format("{}, but not on this host: {}", valid, plural(problems.size(), "problem")));
  if (problems.empty()) text.line(valid);
  if (flag_of(host, "judged"))
    text.line("this host has what it needs");
  else if (host.is_object())
    text.line(fmt::format("this host was not judged: {}", text_of(host, "why")));
}

void view_digest(const json& d, Text& text) {
  const json& services = member(d, "services");
  if (!services.is_array() || services.empty()) return text.line("no services, so no tables");
  std::vector<std::vector<Cell>> rows;
  for (const json& s : services) {
    const bool same = text_of(s, "configured") == text_of(s, "live");
    rows.push_back({text_cell(s, "service"),
                    exact_cell(s, "table_size"),
                    text_cell(s, "configured"),
                    {text_of(s, "live"), same ? Tone::kPlain : Tone::kBold},
                    {join(texts_of(s, "why"), "; ")}});
  }
  text.table({"service", "slots", "configured", "live", "differs because of"}, rows);
}

}  // namespace lb::ctl
