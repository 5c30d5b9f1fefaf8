#include "dataplane/model/text_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>
#include <vector>

namespace lb::model {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t length = 0;  // 0: broken
};

// RFC 3629: no overlong forms, no surrogates, at most U+10FFFF.
CodePoint decode(std::string_view s) noexcept {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  static constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (lead < 0xc2 || lead > 0xf4 || s.size() < length) return {};
  uint32_t value = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3fu);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kSmallest[length] || value > 0x10ffff || surrogate) return {};
  return {value, length};
}

bool is_control(uint32_t c) noexcept {
  if (c == '\t' || c == '\n') return false;
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe ||
         c == 0xffff;
}

}  // namespace

std::optional<size_t> find_unprintable(std::string_view text) noexcept {
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode(text.substr(i));
    if (c.length == 0 || is_control(c.value)) return i;
    i += c.length;
  }
  return std::nullopt;
}

bool is_one_line(std::string_view text) noexcept {
  return !find_unprintable(text) && text.find_first_of("\n\t") == std::string_view::npos;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row[b.size()];
}

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known) {
  if (word.size() > 64) return {};  // longer than any word of ours by more than the distance allowed
  const size_t limit = std::min<size_t>(3, std::max<size_t>(1, word.size() / 3));
  std::string_view best;
  size_t best_distance = limit + 1;
  for (const std::string_view candidate : known) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string quote_text(std::string_view value) {
  return "'" + shown(value) + "'";
}

std::string shown(std::string_view value) {
  static constexpr size_t kShown = 60;
  std::string out;
  std::string_view rest = value.substr(0, kShown);
  while (!rest.empty()) {
    const CodePoint c = decode(rest);
    if (c.length != 0 && !is_control(c.value) && c.value != '\n' && c.value != '\t') {
      out += rest.substr(0, c.length);
      rest.remove_prefix(c.length);
      continue;
    }
    out += fmt::format("\\x{:02x}", static_cast<uint8_t>(rest.front()));
    rest.remove_prefix(1);
  }
  return out + (value.size() > kShown ? "..." : "");
}

std::string join_words(std::span<const std::string_view> words, size_t limit) {
  std::string out;
  for (size_t i = 0; i < words.size() && i < limit; ++i) {
    if (i > 0) out += ", ";
    out += words[i];
  }
  if (words.size() > limit) out += fmt::format(" and {} more", words.size() - limit);
  return out;
}

std::optional<uint64_t> parse_duration(std::string_view text) noexcept {
  static constexpr std::pair<char, uint64_t> kUnits[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
  constexpr uint64_t kYear = 366ull * 86400;
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr + 1 != end || number > kYear) return std::nullopt;
  for (const auto& [unit, seconds] : kUnits)
    if (*parsed.ptr == unit && number * seconds <= kYear) return number * seconds;
  return std::nullopt;
}

std::string grouped(uint64_t n) {
  std::string out = std::to_string(n);
  for (size_t at = out.size(); at > 3;) {
    at -= 3;
    out.insert(at, ",");
  }
  return out;
}

}  // namespace lb::model
