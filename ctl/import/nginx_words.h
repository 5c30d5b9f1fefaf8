// Text of nginx.conf as statements: up to `;`, or with a block in braces; comments start with #.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/import/statement.h"
#include "dataplane/net/result.h"

namespace lb::importing {

// ERRORS: kInvalid with file and line: braces, quotes and `;` that are missing.
net::Result<std::vector<Statement>> read_nginx(std::string_view text, const std::string& file);

}  // namespace lb::importing
