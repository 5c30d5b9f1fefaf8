// Text of haproxy.cfg: sections, each with its lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/import/statement.h"

namespace lb::importing {

// A section is a statement (`backend web`) whose block are the lines up to the next one; lines before the first section
// are statements of their own. `listen NAME ADDRESS:PORT` of old is read as it stands.
std::vector<Statement> read_haproxy(std::string_view text, const std::string& file);

}  // namespace lb::importing
