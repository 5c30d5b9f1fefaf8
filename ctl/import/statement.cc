#include "ctl/import/statement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "dataplane/model/text_rules.h"

namespace lb::importing {
namespace {

constexpr size_t kMaxCommentText = 200;

// Behind these words stands what must not travel further in a comment.
constexpr std::string_view kSecretWords[] = {"auth_pass",     "password",        "insecure-password",
                                             "user-password", "auth_basic_pass", "ssl_password_file",
                                             "secret",        "smtp_password"};

bool is_secret_word(std::string_view word) {
  return std::find(std::begin(kSecretWords), std::end(kSecretWords), word) != std::end(kSecretWords);
}

}  // namespace

const Statement* Statement::find(std::string_view name) const {
  const auto it = std::find_if(block.begin(), block.end(), [&](const Statement& s) { return s.word(0) == name; });
  return it == block.end() ? nullptr : &*it;
}

std::string printable_line(std::string_view text) {
  std::string out;
  while (!text.empty() && out.size() < kMaxCommentText) {
    const auto bad = model::find_unprintable(text);
    const size_t plain = std::min(bad.value_or(text.size()), text.size());
    for (const char c : text.substr(0, plain)) out += c == '\n' || c == '\t' || c == '\r' ? ' ' : c;
    text.remove_prefix(plain);
    if (text.empty()) break;
    out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text.front()));
    text.remove_prefix(1);
  }
  if (out.size() > kMaxCommentText) {
    size_t cut = kMaxCommentText;
    while (cut > 0 && (static_cast<uint8_t>(out[cut]) & 0xc0) == 0x80) --cut;  // whole characters
    out.resize(cut);
    out += "...";
  }
  return out;
}

std::string statement_text(const std::vector<std::string>& words) {
  std::string out;
  bool hide = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!out.empty()) out += ' ';
    const size_t colon = word.find(':');
    const bool credentials = i > 1 && words[i - 1] == "auth" && words[i - 2] == "stats" && colon != std::string::npos;
    if (hide)
      out += "***";
    else if (credentials)
      out += word.substr(0, colon) + ":***";
    else
      out += word;
    hide = is_secret_word(lower(word));
    if (out.size() > 2 * kMaxCommentText) break;
  }
  return printable_line(out);
}

HostPort split_host(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return {std::string(text), ""};
    const std::string_view rest = text.substr(close + 1);
    return {std::string(text.substr(1, close - 1)), std::string(rest.starts_with(':') ? rest.substr(1) : rest)};
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {std::string(text), ""};
  // Several colons without brackets: an IPv6 address.
  if (text.find(':') != colon) return {std::string(text), ""};
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

bool read_number(std::string_view text, unsigned& value) {
  if (text.empty()) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace lb::importing
