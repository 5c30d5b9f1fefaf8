// `include` of other products: the statements of the files that it names take its place.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/import/draft.h"
#include "ctl/import/statement.h"
#include "dataplane/model/config_text.h"
#include "dataplane/net/result.h"

namespace lb::importing {

class Includes {
 public:
  using Parse = std::function<net::Result<std::vector<Statement>>(std::string_view text, const std::string& file)>;

  // beside_each: relative paths start at the folder of the including file, else at that of the main one.
  Includes(const model::Reader& reader, Parse parse, Draft& draft, bool beside_each)
      : reader_(reader), parse_(std::move(parse)), draft_(draft), beside_each_(beside_each) {}

  // What cannot be read is left and missed. ERRORS: kInvalid: an included file is wrong, or there are too many.
  net::Result<std::vector<Statement>> follow(std::vector<Statement> statements, const std::string& file);

 private:
  net::Status add(const Statement& include, const std::string& file, std::vector<Statement>& out);
  net::Status add_file(const Statement& include, const std::string& path, const std::string& from,
                       std::vector<Statement>& out);
  void miss(const Statement& include, const std::string& why);

  const model::Reader& reader_;
  Parse parse_;
  Draft& draft_;
  bool beside_each_;
  size_t files_ = 0, bytes_ = 0;
  int depth_ = 0;
};

}  // namespace lb::importing
