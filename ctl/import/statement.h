// Statements of a foreign configuration: words, where they stood, and a block of further statements in braces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lb::importing {

struct Source {
  std::string file;
  int line = 0;      // from 1
  std::string text;  // as it stood, on one line, printable, secrets hidden
};

struct Statement {
  Source at;
  std::vector<std::string> words;
  bool has_block = false;
  std::vector<Statement> block;

  std::string_view word(size_t i) const { return i < words.size() ? std::string_view(words[i]) : std::string_view(); }
  // Of its block, the first one of that name; nullptr: none.
  const Statement* find(std::string_view name) const;
};

inline constexpr int kMaxBlocks = 32;  // nested

// Words of a statement as one line for a comment. Values that stand behind a word for a password are hidden.
std::string statement_text(const std::vector<std::string>& words);
// Printable and short enough for one line.
std::string printable_line(std::string_view text);

// "10.0.0.1:80", "[2001:db8::1]:80", "web1:80", "10.0.0.1", "2001:db8::1" -> host and port; port may be empty.
struct HostPort {
  std::string host, port;
};
HostPort split_host(std::string_view text);
// A whole number without sign; false when it is none or too large.
bool read_number(std::string_view text, unsigned& value);
std::string lower(std::string_view text);

}  // namespace lb::importing
