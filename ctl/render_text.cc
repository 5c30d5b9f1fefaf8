#include "ctl/render_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "ctl/render.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

// Columns on a terminal that UTF-8 text takes, as long as every character is one wide: bytes that start one.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// Control characters must not reach a terminal: a label or reason may hold any text.
std::string printable(std::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return out;
}

class TextRenderer : public Renderer {
 public:
  TextRenderer(std::ostream& out, bool colour) : text_(out, colour) {}
  void show(const json& result, TextView view) override { view(result, text_); }

 private:
  Text text_;
};

class JsonRenderer : public Renderer {
 public:
  explicit JsonRenderer(std::ostream& out) : out_(out) {}
  void show(const json& result, TextView) override {
    if (result.is_object() && !result.contains("changed")) {
      json whole = result;
      whole["changed"] = false;
      return print(whole);
    }
    print(result);
  }

 private:
  void print(const json& value) { out_ << value.dump(2, ' ', false, json::error_handler_t::replace) << '\n'; }

  std::ostream& out_;
};

}  // namespace

std::unique_ptr<Renderer> make_text_renderer(std::ostream& out, bool colour) {
  return std::make_unique<TextRenderer>(out, colour);
}
std::unique_ptr<Renderer> make_json_renderer(std::ostream& out) {
  return std::make_unique<JsonRenderer>(out);
}

std::string Text::toned(std::string_view text, Tone tone) const {
  if (!colour_ || tone == Tone::kPlain || text.empty()) return std::string(text);
  static constexpr const char* kCodes[] = {"0", "1", "32", "1;31", "2"};  // by Tone; ECMA-48 SGR
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<size_t>(tone)], text);
}

void Text::line(std::string_view text, Tone tone) {
  out_ << toned(printable(text), tone) << '\n';
}
void Text::blank() {
  out_ << '\n';
}
void Text::verbatim(std::string_view text) {
  out_ << text;
  if (text.empty() || text.back() != '\n') out_ << '\n';
}

void Text::table(const std::vector<std::string>& columns, const std::vector<std::vector<Cell>>& rows) {
  std::vector<size_t> widths;
  for (const std::string& c : columns) widths.push_back(width(c));
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], width(row[i].text));
  }
  const auto put = [&](const std::vector<Cell>& row) {
    std::string out;
    size_t owed = 0;  // spaces, written only when something follows
    for (size_t i = 0; i < row.size(); i++) {
      const std::string text = printable(row[i].text);
      if (text.empty()) {
        owed += widths[i] + 2;
        continue;
      }
      const size_t pad = widths[i] - width(text);
      out += std::string(owed + (row[i].right ? pad : 0), ' ') + toned(text, row[i].tone);
      owed = 2 + (row[i].right ? 0 : pad);
    }
    out_ << out << '\n';
  };
  std::vector<Cell> head;
  for (size_t i = 0; i < columns.size(); i++) {
    head.push_back({columns[i], Tone::kBold, !rows.empty() && rows.front().size() > i && rows.front()[i].right});
  }
  put(head);
  for (const auto& row : rows) put(row);
}

void Text::facts(const std::vector<std::pair<std::string, Cell>>& facts) {
  size_t widest = 0;
  for (const auto& [name, value] : facts) {
    if (!value.text.empty()) widest = std::max(widest, width(name));
  }
  for (const auto& [name, value] : facts) {
    if (value.text.empty()) continue;
    out_ << name << std::string(widest - width(name) + 2, ' ') << toned(printable(value.text), value.tone) << '\n';
  }
}

const json& member(const json& object, std::string_view key) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto it = object.find(key);
  return it == object.end() ? kNull : *it;
}

std::string text_of(const json& object, std::string_view key) {
  const json& m = member(object, key);
  if (m.is_string()) return m.get<std::string>();
  if (m.is_number_integer() || m.is_boolean()) return m.dump();
  if (m.is_array()) return join(texts_of(object, key));
  return "-";
}

uint64_t number_of(const json& object, std::string_view key) {
  const json& m = member(object, key);
  return m.is_number_unsigned() || m.is_number_integer() ? m.get<uint64_t>() : 0;
}

double share_of(const json& object, std::string_view key) {
  const json& m = member(object, key);
  return m.is_number() ? m.get<double>() : 0;
}

bool flag_of(const json& object, std::string_view key) {
  const json& m = member(object, key);
  return m.is_boolean() && m.get<bool>();
}

std::vector<std::string> texts_of(const json& object, std::string_view key) {
  std::vector<std::string> out;
  const json& m = member(object, key);
  if (!m.is_array()) return out;
  for (const json& item : m) out.push_back(item.is_string() ? item.get<std::string>() : item.dump());
  return out;
}

std::string utc(const json& object, std::string_view key) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(number_of(object, key))));
}

std::string vlan_text(const nlohmann::json& object) {
  return member(object, "vlan").is_number() ? " in VLAN " + text_of(object, "vlan") : "";
}

std::string human(uint64_t n) {
  if (n < 10000) return std::to_string(n);
  static constexpr char kUnits[] = "kMGTPE";
  double value = static_cast<double>(n);
  size_t unit = 0;
  // 999.95 and more would be written as 1000.
  for (value /= 1000; value >= 999.95 && unit < 5; unit++) value /= 1000;
  return fmt::format("{:.{}f}{}", value, value < 9.995 ? 2 : 1, kUnits[unit]);
}

std::string percent(double share) {
  return fmt::format("{:.2f} %", share * 100);
}

std::string duration(uint64_t s) {
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

std::string plural(uint64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

Cell count_cell(const json& object, std::string_view key) {
  return {member(object, key).is_number() ? human(number_of(object, key)) : "-", Tone::kPlain, true};
}
Cell exact_cell(const json& object, std::string_view key) {
  return {text_of(object, key), Tone::kPlain, true};
}
Cell text_cell(const json& object, std::string_view key) {
  return {text_of(object, key)};
}

Cell worker_cell(const json& object, std::string_view name) {
  return {text_of(object, member(object, "core").is_null() && member(object, name).is_string() ? name : "worker")};
}

}  // namespace lb::ctl
