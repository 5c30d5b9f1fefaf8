#include "ctl/file_ops.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "ctl/unique_fd.h"

namespace lb::ctl {

int FileOps::open(const char* path, int flags, mode_t mode) {
  return ::open(path, flags, mode);
}
ssize_t FileOps::write(int fd, const void* data, size_t bytes) {
  return ::write(fd, data, bytes);
}
int FileOps::fsync(int fd) {
  return ::fsync(fd);
}
int FileOps::close(int fd) {
  return ::close(fd);
}
int FileOps::rename(const char* from, const char* to) {
  return ::rename(from, to);
}
int FileOps::link(const char* from, const char* to) {
  return ::link(from, to);
}
int FileOps::unlink(const char* path) {
  return ::unlink(path);
}

FileOps& system_files() {
  static FileOps ops;
  return ops;
}

net::Error io_error(std::string_view what, const std::string& path, int error) {
  const std::string_view text = strerrordesc_np(error) != nullptr ? strerrordesc_np(error) : "unknown error";
  auto sentence = [&](std::string_view advice) { return fmt::format("cannot {} {}: {}{}", what, path, text, advice); };
  switch (error) {
    case EACCES:
    case EPERM:
      return {net::Code::kPermission, sentence("; run as root, or as the owner of the file")};
    case EROFS:
      return {net::Code::kIo, sentence("; it must be on a file system that can be written")};
    case ENOSPC:
    case EDQUOT:
      return {net::Code::kIo, sentence("; make room on that file system and try again")};
    case ENOENT:
      return {net::Code::kNotFound, sentence("")};
    default:
      return {net::Code::kIo, sentence("")};
  }
}

namespace {

net::Status write_all(FileOps& ops, int fd, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ops.write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("write", path, errno);
    if (n == 0) return net::Error{net::Code::kIo, fmt::format("cannot write {}: the system took no more bytes", path)};
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

net::Status write_synced(FileOps& ops, const std::string& path, std::string_view text, mode_t mode) {
  const int fd = ops.open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return io_error("create", path, errno);
  net::Status status = write_all(ops, fd, path, text);
  if (status && ops.fsync(fd) != 0) status = io_error("sync", path, errno);
  // close() can still tell of a write that failed (NFS, quota).
  if (ops.close(fd) != 0 && status) status = io_error("close", path, errno);
  if (!status) ops.unlink(path.c_str());
  return status;
}

net::Status sync_folder(FileOps& ops, const std::string& folder) {
  const int fd = ops.open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return io_error("open the folder", folder, errno);
  net::Status status;
  if (ops.fsync(fd) != 0) status = io_error("sync the folder", folder, errno);
  ops.close(fd);
  return status;
}

net::Result<std::string> read_fd(int fd, const std::string& name, size_t limit) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return io_error("read", name, errno);
  if (!S_ISREG(st.st_mode)) {
    return net::Error{net::Code::kInvalid, fmt::format("{} is not a regular file", name)};
  }
  std::string text;
  while (true) {
    // Not st_size alone: a file may grow while it is read, and /proc tells 0.
    const size_t want = std::max<size_t>(
        4096, static_cast<size_t>(st.st_size) - std::min(text.size(), static_cast<size_t>(st.st_size)) + 1);
    const size_t before = text.size();
    text.resize(before + std::min(want, limit + 1 - before));
    const ssize_t n = ::pread(fd, text.data() + before, text.size() - before, static_cast<off_t>(before));
    if (n < 0) return io_error("read", name, errno);
    text.resize(before + static_cast<size_t>(n));
    if (n == 0) return text;
    if (text.size() > limit) {
      return net::Error{net::Code::kInvalid, fmt::format("{} is larger than {} bytes", name, limit)};
    }
  }
}

net::Result<std::string> read_file(const std::string& path, size_t limit) {
  // O_NONBLOCK: a FIFO in its place must not hang the daemon.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return io_error("open", path, errno);
  return read_fd(fd.get(), path, limit);
}

net::Status make_folders(const std::string& folder, mode_t mode) {
  for (size_t at = folder.find('/', 1);; at = folder.find('/', at + 1)) {
    const std::string part = folder.substr(0, at);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return io_error("make the folder", part, errno);
    if (at == std::string::npos) break;
  }
  struct stat st {};
  if (::stat(folder.c_str(), &st) != 0) return io_error("open the folder", folder, errno);
  if (!S_ISDIR(st.st_mode)) return net::Error{net::Code::kInvalid, fmt::format("{} is not a folder", folder)};
  return {};
}

}  // namespace lb::ctl
