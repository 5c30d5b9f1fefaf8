// Text of keepalived.conf as statements: a line each, blocks in braces; comments start with ! or #; definitions
// ($NAME=value) are put in where they are used.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/import/statement.h"
#include "dataplane/net/result.h"

namespace lb::importing {

// definitions: by name without `$`; those of the text are added. ERRORS: kInvalid with file and line: braces.
net::Result<std::vector<Statement>> read_keepalived(std::string_view text, const std::string& file,
                                                    std::map<std::string, std::string>& definitions);

}  // namespace lb::importing
