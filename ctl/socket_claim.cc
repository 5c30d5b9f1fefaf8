#include "ctl/socket_claim.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "ctl/file_ops.h"
#include "ctl/log.h"

namespace lb::ctl {
namespace {

net::Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return net::Error{net::Code::kInvalid,
                      fmt::format("daemon.socket {}: a socket's path has 1 to {} bytes, this has {}", path,
                                  sizeof address.sun_path - 1, path.size())};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

struct Probe {
  int error = 0;  // of connect(); 0: somebody listens
  pid_t pid = 0;  // who
};

Probe probe(const sockaddr_un& address) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return {errno, 0};
  // A full backlog is EAGAIN: somebody is there.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EAGAIN) {
    return {errno, 0};
  }
  ucred who{};
  socklen_t length = sizeof who;
  getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &length);
  return {0, who.pid};
}

net::Error in_use(const std::string& path, pid_t pid) {
  const std::string who = pid > 0 ? fmt::format("lbd with pid {}", pid) : std::string("another lbd");
  return {net::Code::kUnavailable,
          fmt::format("{} answers at daemon.socket {} already: stop it, or give this one another socket", who, path)};
}

net::Result<UniqueFd> take_lock(const std::string& path, const sockaddr_un& address) {
  const std::string lock = path + ".lock";
  UniqueFd fd(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return io_error("open", lock, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return io_error("lock", lock, errno);
  return in_use(path, probe(address).pid);
}

// REQUIRES: the lock. What is at the path is gone, or an error.
net::Status clear_path(const std::string& path, const sockaddr_un& address) {
  struct stat st {};
  if (lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return io_error("look at daemon.socket", path, errno);
  }
  if (!S_ISSOCK(st.st_mode)) {
    return net::Error{
        net::Code::kInvalid,
        fmt::format("daemon.socket {} is there and is no socket: move it away, or name another path", path)};
  }
  const Probe found = probe(address);
  if (found.error == 0) return in_use(path, found.pid);
  if (found.error != ECONNREFUSED) return io_error("try daemon.socket", path, found.error);
  if (::unlink(path.c_str()) != 0) return io_error("remove the stale socket", path, errno);
  log(LogLevel::kInfo, "stale_socket_replaced", {{"socket", path}});
  return {};
}

}  // namespace

net::Result<SocketClaim> SocketClaim::take(const std::string& path, mode_t mode) {
  auto address = address_of(path);
  if (!address) return std::move(address).error();
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    if (auto made = make_folders(path.substr(0, slash), 0755); !made) return made.error();
  }
  SocketClaim claim;
  auto lock = take_lock(path, *address);
  if (!lock) return std::move(lock).error();
  claim.lock_ = std::move(lock).value();
  if (auto clear = clear_path(path, *address); !clear) return clear.error();

  claim.listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!claim.listener_) return io_error("make a socket for", path, errno);
  // Never open to more than that, not even between bind() and chmod(). One thread at this point, so umask() is safe.
  const mode_t before = umask(~mode & 0777);
  const int bound = ::bind(claim.listener_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(sockaddr_un));
  const int error = errno;
  umask(before);
  if (bound != 0) return io_error("listen at daemon.socket", path, error);
  claim.path_ = path;
  struct stat st {};
  if (lstat(path.c_str(), &st) == 0) {
    claim.device_ = st.st_dev;
    claim.inode_ = st.st_ino;
  }
  if (::listen(claim.listener_.get(), SOMAXCONN) != 0) return io_error("listen at daemon.socket", path, errno);
  return claim;
}

SocketClaim::~SocketClaim() {
  struct stat st {};
  if (!lock_ || path_.empty() || lstat(path_.c_str(), &st) != 0) return;
  if (st.st_dev == device_ && st.st_ino == inode_) ::unlink(path_.c_str());
}

}  // namespace lb::ctl
