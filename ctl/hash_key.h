// The node's 128-bit flow hash key: 32 hexadecimal digits and a newline in a file of mode 0600, made from getrandom(2)
// when absent. Nodes of a fleet share it by copying the file. It is never printed or logged.
#pragma once

#include <string>

#include "ctl/file_ops.h"
#include "dataplane/net/abi.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

// ERRORS: wrong length, digits or mode, no permission, full disk: what to do is in the sentence.
net::Result<lb_hash_key> load_hash_key(const std::string& path, FileOps& ops = system_files());

}  // namespace lb::ctl
