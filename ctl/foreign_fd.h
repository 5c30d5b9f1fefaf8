// Descriptors that come from clients whom lbd does not trust: reading one of a FUSE or network file system waits for
// as long as its owner likes, and so does closing it.
#pragma once

#include <cstddef>

#include "ctl/unique_fd.h"

namespace lb::ctl {

// A memfd, or a file of a file system in memory: its bytes are there at once.
bool is_in_memory(int fd);

// Closes on a thread of its own. Any thread.
void close_aside(UniqueFd fd);
// How many are being closed.
size_t closing_aside();

}  // namespace lb::ctl
