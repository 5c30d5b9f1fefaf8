// The files that a document is read from, each with the digest of the very bytes that were read, as `sha256sum` tells
// it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/revision.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {

std::string sha256_hex(std::string_view text);  // 64 lower-case hex digits

// The file system; what is read is noted in `files`, which outlives the reader. Paths are absolute.
model::Reader noting_reader(std::vector<SourceFile>& files);

}  // namespace lb::ctl
