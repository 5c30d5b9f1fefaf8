// Statements while they are read: the innermost open block takes the next one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/import/statement.h"
#include "dataplane/net/result.h"

namespace lb::importing {

class BlockStack {
 public:
  explicit BlockStack(std::string file) : file_(std::move(file)) {}

  // A whole statement; with_block: what follows is inside, up to close(). ERRORS: kInvalid: nested too deep.
  net::Status add(std::vector<std::string> words, int line, bool with_block);
  net::Status close(int line);                   // ERRORS: kInvalid: nothing is open
  net::Result<std::vector<Statement>> finish();  // ERRORS: kInvalid: a block is open
  net::Error error(int line, std::string_view sentence) const;

 private:
  std::string file_;
  std::vector<Statement> open_;  // from the outermost
  std::vector<Statement> done_;
};

}  // namespace lb::importing
