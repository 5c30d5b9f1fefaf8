#include "ctl/import/nginx_words.h"

#include <utility>

#include "ctl/import/block_stack.h"

namespace lb::importing {
namespace {

class NginxWords {
 public:
  NginxWords(std::string_view text, const std::string& file) : text_(text), stack_(file) {}

  net::Result<std::vector<Statement>> run() {
    while (at_ < text_.size()) {
      if (auto status = step(); !status) return status.error();
    }
    if (quote_ != 0) return stack_.error(line_of_quote_, "a quote is not closed");
    flush();
    if (!words_.empty()) return stack_.error(first_line_, "the last statement has no `;`");
    return stack_.finish();
  }

 private:
  net::Status step() {
    const char c = text_[at_++];
    if (c == '\n') ++line_;
    if (c == '\\' && at_ < text_.size()) {
      escape();
      return {};
    }
    if (quote_ != 0) {
      if (c == quote_)
        quote_ = 0;
      else
        word_ += c;
      return {};
    }
    return plain(c);
  }

  // A backslash keeps the next letter what it is.
  void escape() {
    const char c = text_[at_++];
    if (c == '\n') ++line_;
    begin();
    if (quote_ == 0 && c != '"' && c != '\'' && c != '\\' && c != ' ' && c != ';' && c != '{' && c != '}')
      word_ += '\\';
    if (quote_ != 0 && c != quote_ && c != '\\') word_ += '\\';
    word_ += c;
  }

  net::Status plain(char c) {
    if ((c == '"' || c == '\'') && !started_) {
      begin();
      quote_ = c;
      line_of_quote_ = line_;
    } else if (c == '#' && !started_) {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      flush();
    } else if (c == '{' && word_.ends_with('$')) {
      variable();
    } else if (c == ';' || c == '{') {
      flush();
      if (words_.empty() && c == ';') return {};
      return stack_.add(std::exchange(words_, {}), first_line_ == 0 ? line_ : first_line_, c == '{');
    } else if (c == '}') {
      flush();
      if (!words_.empty()) return stack_.error(first_line_, "the statement before `}` has no `;`");
      return stack_.close(line_);
    } else {
      begin();
      word_ += c;
    }
    return {};
  }

  void variable() {  // ${name}
    word_ += '{';
    while (at_ < text_.size() && text_[at_] != '}' && text_[at_] != '\n') word_ += text_[at_++];
    if (at_ < text_.size() && text_[at_] == '}') word_ += text_[at_++];
  }

  void begin() {
    if (words_.empty() && !started_) first_line_ = line_;
    started_ = true;
  }

  void flush() {
    if (started_) words_.push_back(std::move(word_));
    word_.clear();
    started_ = false;
  }

  std::string_view text_;
  BlockStack stack_;
  size_t at_ = 0;
  int line_ = 1, first_line_ = 0, line_of_quote_ = 0;
  char quote_ = 0;
  bool started_ = false;
  std::string word_;
  std::vector<std::string> words_;
};

}  // namespace

net::Result<std::vector<Statement>> read_nginx(std::string_view text, const std::string& file) {
  return NginxWords(text, file).run();
}

}  // namespace lb::importing
