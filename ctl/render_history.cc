// Revisions for people.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

std::string who(const json& r) {
  const std::string login = text_of(r, "login_uid");
  return "uid " + text_of(r, "uid") +
         (login.empty() || login == "-" || login == text_of(r, "uid") ? "" : ", login " + login);
}

// The first change stands for all; the reason says why.
std::string change_text(const json& r) {
  const uint64_t changes = number_of(r, "changes");
  std::string text = text_of(r, "first");
  if (text.empty() || text == "-")
    text = changes == 0 ? "" : plural(changes, "change");
  else if (changes > 1)
    text += fmt::format(" and {} more", changes - 1);
  if (member(r, "restores").is_number())
    text = "as revision " + text_of(r, "restores") + (text.empty() ? "" : ": " + text);
  return text;
}

}  // namespace

void view_history(const json& h, Text& text) {
  const json& revisions = member(h, "revisions");
  if (const json& trial = member(h, "trial"); trial.is_object())
    text.line(
        fmt::format("Revision {} is on trial: revision {} comes back at {} unless `lbctl config confirm` is said.",
                    text_of(h, "current"), text_of(trial, "back_to"), utc(trial, "until")),
        Tone::kBad);
  if (!revisions.is_array() || revisions.empty()) return text.line("no revision in that time");
  std::vector<std::vector<Cell>> rows;
  for (const json& r : revisions) {
    const std::string reason = text_of(r, "reason");
    rows.push_back({exact_cell(r, "revision"),
                    {utc(r, "time")},
                    {who(r)},
                    text_cell(r, "command"),
                    {change_text(r)},
                    {reason == "-" ? "" : reason}});
  }
  text.table({"revision", "time", "by", "command", "what", "why"}, rows);
}

void view_blame(const json& b, Text& text) {
  const json& touched = member(b, "touched");
  if (!touched.is_array() || touched.empty()) return text.line("no service, no pool");
  std::vector<std::vector<Cell>> rows;
  for (const json& t : touched) {
    const std::string reason = text_of(t, "reason");
    rows.push_back({{text_of(t, "what")},
                    flag_of(t, "removed") ? Cell{"removed", Tone::kBold} : Cell{"there"},
                    exact_cell(t, "revision"),
                    {utc(t, "time")},
                    {who(t)},
                    text_cell(t, "command"),
                    {reason == "-" ? "" : reason}});
  }
  text.table({"what", "is", "since revision", "time", "by", "command", "why"}, rows);
}

void view_compare(const json& c, Text& text) {
  const auto lines = texts_of(c, "lines");
  for (const std::string& line : lines) text.line(line, tone_of_change(line));
  const std::string between = fmt::format("between revisions {} and {}", text_of(c, "from"), text_of(c, "to"));
  if (lines.empty()) text.line("No difference " + between + ".");
}

}  // namespace lb::ctl
