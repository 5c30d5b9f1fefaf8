#include "ctl/import/haproxy_words.h"

#include <algorithm>
#include <utility>

namespace lb::importing {
namespace {

constexpr std::string_view kSectionWords[] = {
    "global", "defaults",    "frontend", "backend", "listen",      "peers",    "resolvers", "userlist", "mailers",
    "cache",  "http-errors", "program",  "ring",    "log-forward", "fcgi-app", "crt-store", "traces",   "log-profile"};

bool opens_section(const std::vector<std::string>& words) {
  return std::find(std::begin(kSectionWords), std::end(kSectionWords), words[0]) != std::end(kSectionWords);
}

// Quotes and backslashes as in a shell; # starts a comment.
std::vector<std::string> haproxy_line(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool started = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool blank = c == ' ' || c == '\t' || c == '\r';
    if (c == '\\' && quote != '\'' && i + 1 < line.size()) {
      word += line[++i];
      started = true;
    } else if (quote != 0) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
      started = true;
    } else if (c == '#') {
      break;
    } else if (!blank) {
      word += c;
      started = true;
    } else if (started) {
      words.push_back(std::exchange(word, {}));
      started = false;
    }
  }
  if (started) words.push_back(std::move(word));
  return words;
}

}  // namespace

std::vector<Statement> read_haproxy(std::string_view text, const std::string& file) {
  std::vector<Statement> out;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    Statement statement;
    statement.words = haproxy_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (statement.words.empty()) continue;
    statement.at = {file, number, statement_text(statement.words)};
    statement.has_block = opens_section(statement.words);
    if (statement.has_block || out.empty() || !out.back().has_block)
      out.push_back(std::move(statement));
    else
      out.back().block.push_back(std::move(statement));
  }
  return out;
}

}  // namespace lb::importing
