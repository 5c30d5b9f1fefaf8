// How people read results: tables with stable columns, numbers of four digits, colour only where it means something.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lb::ctl {

enum class Tone : uint8_t { kPlain, kBold, kGood, kBad, kDim };

struct Cell {
  std::string text;
  Tone tone = Tone::kPlain;
  bool right = false;  // numbers
};

class Text {
 public:
  Text(std::ostream& out, bool colour) : out_(out), colour_(colour) {}

  void line(std::string_view text, Tone tone = Tone::kPlain);
  void blank();
  // Column names, then rows; columns as wide as they need, two spaces between, nothing behind the last.
  void table(const std::vector<std::string>& columns, const std::vector<std::vector<Cell>>& rows);
  // "name      value" lines, values under each other; empty values are left out.
  void facts(const std::vector<std::pair<std::string, Cell>>& facts);
  void verbatim(std::string_view text);

 private:
  std::string toned(std::string_view text, Tone tone) const;
  std::ostream& out_;
  bool colour_;
};

// Members of a result by name; what is not there or of another type is "-", 0, false, an empty array.
std::string text_of(const nlohmann::json& object, std::string_view key);
uint64_t number_of(const nlohmann::json& object, std::string_view key);
double share_of(const nlohmann::json& object, std::string_view key);
bool flag_of(const nlohmann::json& object, std::string_view key);
const nlohmann::json& member(const nlohmann::json& object, std::string_view key);  // null when absent
std::vector<std::string> texts_of(const nlohmann::json& object, std::string_view key);

std::string utc(const nlohmann::json& object, std::string_view key);  // "2026-11-25 03:00:00 UTC"
Tone tone_of_change(std::string_view line);                           // of a line of a diff
std::string vlan_text(const nlohmann::json& object);                  // " in VLAN 30"; empty when untagged
std::string human(uint64_t n);                                        // 9999, 18.4k, 1.23M: four digits, powers of 1000
std::string percent(double share);                                    // 0.0123 -> "1.23 %"
std::string duration(uint64_t seconds);                               // "40 s", "2 h 5 min", "3 d 4 h"
std::string join(const std::vector<std::string>& parts, std::string_view separator = ", ");
std::string plural(uint64_t n, std::string_view noun);  // "1 service", "2 services"

Cell count_cell(const nlohmann::json& object, std::string_view key);  // human(), right
Cell exact_cell(const nlohmann::json& object, std::string_view key);  // all digits, right
Cell text_cell(const nlohmann::json& object, std::string_view key);
// A worker by number where it has a core of its own to be known by, else by name. name: the key.
Cell worker_cell(const nlohmann::json& object, std::string_view name);

}  // namespace lb::ctl
