#include "ctl/import/block_stack.h"

#include <fmt/format.h>

#include <utility>

namespace lb::importing {

net::Error BlockStack::error(int line, std::string_view sentence) const {
  return {net::Code::kInvalid, fmt::format("{}:{}: {}", file_, line, sentence)};
}

net::Status BlockStack::add(std::vector<std::string> words, int line, bool with_block) {
  Statement statement;
  statement.at = {file_, line, statement_text(words)};
  statement.words = std::move(words);
  statement.has_block = with_block;
  if (!with_block) {
    (open_.empty() ? done_ : open_.back().block).push_back(std::move(statement));
    return {};
  }
  if (open_.size() >= static_cast<size_t>(kMaxBlocks))
    return error(line, fmt::format("blocks are nested more than {} deep", kMaxBlocks));
  open_.push_back(std::move(statement));
  return {};
}

net::Status BlockStack::close(int line) {
  if (open_.empty()) return error(line, "`}` closes nothing");
  Statement statement = std::move(open_.back());
  open_.pop_back();
  (open_.empty() ? done_ : open_.back().block).push_back(std::move(statement));
  return {};
}

net::Result<std::vector<Statement>> BlockStack::finish() {
  if (!open_.empty())
    return error(open_.back().at.line, fmt::format("the block of `{}` is not closed", open_.back().at.text));
  return std::move(done_);
}

}  // namespace lb::importing
