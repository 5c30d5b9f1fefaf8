#include "ctl/import/keepalived_words.h"

#include <algorithm>
#include <utility>

#include "ctl/import/block_stack.h"

namespace lb::importing {
namespace {

// Words of one line up to a comment; braces are words of their own.
std::vector<std::string> keepalived_line(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, started = false, variable = false;  // variable: inside ${...}
  const auto flush = [&] {
    if (started) words.push_back(std::move(word));
    word.clear();
    started = variable = false;
  };
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      quoted = !quoted;
      started = true;
    } else if (quoted) {
      word += c;
    } else if ((c == '!' || c == '#') && !started) {
      break;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      flush();
    } else if ((c == '{' || c == '}') && !variable && !word.ends_with('$')) {
      flush();
      words.emplace_back(1, c);
    } else {
      variable = c == '{' || (variable && c != '}');
      word += c;
      started = true;
    }
  }
  flush();
  return words;
}

constexpr size_t kMaxPutIn = 4096;  // no word of ours is that long

bool is_name_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// $NAME and ${NAME} become what they stand for; unknown ones stay.
std::string put_in(const std::string& word, const std::map<std::string, std::string>& definitions) {
  std::string out;
  for (size_t i = 0; i < word.size(); ++i) {
    size_t from = i + 1;
    const bool braced = word[i] == '$' && from < word.size() && word[from] == '{';
    if (braced) ++from;
    size_t to = from;
    while (to < word.size() && is_name_letter(word[to])) ++to;
    const auto it = word[i] == '$' ? definitions.find(word.substr(from, to - from)) : definitions.end();
    const bool whole = it != definitions.end() && (!braced || (to < word.size() && word[to] == '}'));
    if (!whole || out.size() > kMaxPutIn) {
      out += word[i];
      continue;
    }
    out += it->second;
    i = braced ? to : to - 1;
  }
  return out;
}

// $NAME=value, on a line of its own.
bool define(const std::vector<std::string>& words, std::map<std::string, std::string>& definitions) {
  if (words.empty() || !words[0].starts_with('$')) return false;
  const size_t equals = words[0].find('=');
  if (equals == std::string::npos) return false;
  std::string value = words[0].substr(equals + 1);
  for (size_t i = 1; i < words.size(); ++i) value += (value.empty() ? "" : " ") + words[i];
  constexpr size_t kMaxValue = 100;  // of a definition: more is a block, which no statement of ours takes
  if (value.size() > kMaxValue) return false;
  definitions[words[0].substr(1, equals - 1)] = std::move(value);
  return true;
}

// Statements of one line: `TCP_CHECK { connect_timeout 3 }` holds several words, a block and its end.
net::Status add_line(BlockStack& stack, std::vector<std::string>& pending, int& pending_line,
                     const std::vector<std::string>& words, int number) {
  for (const std::string& word : words) {
    if (word != "{" && word != "}") {
      if (pending.empty()) pending_line = number;
      pending.push_back(word);
      continue;
    }
    const bool opens = word == "{";
    if (opens || !pending.empty()) {
      if (auto added = stack.add(std::exchange(pending, {}), opens && pending_line == 0 ? number : pending_line, opens);
          !added)
        return added;
    }
    if (!opens) {
      if (auto closed = stack.close(number); !closed) return closed;
    }
  }
  return {};
}

bool opens_next(std::string_view rest) {
  const size_t first = rest.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && rest[first] == '{';
}

}  // namespace

net::Result<std::vector<Statement>> read_keepalived(std::string_view text, const std::string& file,
                                                    std::map<std::string, std::string>& definitions) {
  BlockStack stack(file);
  std::vector<std::string> pending;
  int number = 0, pending_line = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    std::vector<std::string> words = keepalived_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool defined = define(words, definitions);
    if (!defined)
      for (std::string& word : words) word = put_in(word, definitions);
    if (auto added = add_line(stack, pending, pending_line, words, number); !added) return added.error();
    // A statement ends with its line, unless its block opens on the next.
    if (!pending.empty() && !opens_next(text)) {
      if (auto added = stack.add(std::exchange(pending, {}), pending_line, false); !added) return added.error();
    }
  }
  if (!pending.empty()) {
    if (auto added = stack.add(std::exchange(pending, {}), pending_line, false); !added) return added.error();
  }
  return stack.finish();
}

}  // namespace lb::importing
