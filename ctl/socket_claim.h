// The daemon's Unix socket, ours alone: a lock file beside it (flock, held while the process lives) says who owns the
// path, a connection attempt tells a live daemon from a socket that a killed one left.
#pragma once

#include <sys/types.h>

#include <string>

#include "ctl/unique_fd.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

class SocketClaim {
 public:
  // Listens at path; makes the folder. mode: 0600 for lbd's own user and root alone, 0666 for whoever is admitted by
  // what the kernel tells of him (Access). Replaces a stale socket.
  // ERRORS: kUnavailable when a daemon answers there (its pid is named); a path that is no socket or too long.
  static net::Result<SocketClaim> take(const std::string& path, mode_t mode = 0600);

  SocketClaim(SocketClaim&&) = default;
  SocketClaim& operator=(SocketClaim&&) = default;
  ~SocketClaim();  // removes the socket if it is still ours

  int release_listener() { return listener_.release(); }

 private:
  SocketClaim() = default;

  std::string path_;
  UniqueFd lock_, listener_;
  dev_t device_ = 0;  // of the socket file, so that another's is never removed
  ino_t inode_ = 0;
};

}  // namespace lb::ctl
