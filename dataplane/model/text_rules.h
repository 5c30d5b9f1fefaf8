// Rules about text that several readers share: printable UTF-8, nearest word, quoting for messages. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lb::model {

// Offset of the first byte that is no printable UTF-8: a broken sequence, a control character (C0 but tab and line
// feed, DEL, C1), U+2028, U+2029, U+FEFF or a surrogate.
std::optional<size_t> find_unprintable(std::string_view text) noexcept;

// Printable, without tab or line feed.
bool is_one_line(std::string_view text) noexcept;

// Levenshtein distance, case counts. Cost: a.size() * b.size().
size_t edit_distance(std::string_view a, std::string_view b);

// The word with the smallest distance, when that is small enough to be a slip of the hand: at most a third of the
// word's length and at most 3. Empty: none.
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known);

// 'value' in single quotes, unprintable bytes as \xNN, cut after 60 bytes: for messages, never for documents.
std::string quote_text(std::string_view value);
std::string shown(std::string_view value);  // the same without quotes

// "a, b, c", at most `limit` words, then "and 12 more".
std::string join_words(std::span<const std::string_view> words, size_t limit = 20);

// "90s", "5m", "1h", "2d" -> seconds, at most a year; a number without unit is none.
std::optional<uint64_t> parse_duration(std::string_view text) noexcept;

// "0..1000" style numbers with thousands separators: 65,537.
std::string grouped(uint64_t n);

}  // namespace lb::model
