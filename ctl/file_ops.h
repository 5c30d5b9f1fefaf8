// The system calls by which state reaches the disk, as an interface, so that a test can make any of them fail, fall
// short or be the last one. As in POSIX: -1 and errno.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "dataplane/net/result.h"

namespace lb::ctl {

class FileOps {
 public:
  virtual ~FileOps() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual ssize_t write(int fd, const void* data, size_t bytes);
  virtual int fsync(int fd);
  virtual int close(int fd);
  virtual int rename(const char* from, const char* to);
  virtual int link(const char* from, const char* to);
  virtual int unlink(const char* path);
};

FileOps& system_files();

// "cannot WHAT PATH: TEXT OF ERRNO", code by errno (kPermission, kNotFound, kIo), with advice where there is one.
net::Error io_error(std::string_view what, const std::string& path, int error);

// Writes and syncs a new file; replaces one that is there. ERRORS: the file is removed again.
net::Status write_synced(FileOps& ops, const std::string& path, std::string_view text, mode_t mode);
net::Status sync_folder(FileOps& ops, const std::string& folder);
// A whole regular file. ERRORS: kNotFound when it is not there; more than `limit` bytes.
net::Result<std::string> read_file(const std::string& path, size_t limit);
// The rest of an open one from offset 0.
net::Result<std::string> read_fd(int fd, const std::string& name, size_t limit);
// mkdir -p.
net::Status make_folders(const std::string& folder, mode_t mode);

}  // namespace lb::ctl
