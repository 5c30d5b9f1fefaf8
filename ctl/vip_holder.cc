#include "ctl/vip_holder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ctl/log.h"

extern char** environ;

namespace lb::ctl {
namespace {

// Descriptors of the holder, by number.
enum HolderFd { kDevice = 3, kListener = 4, kLife = 5, kHolderFds = 6 };
constexpr int kLookMs = 200;  // how late the end of forwarding is seen

net::Error holder_failed(std::string_view what) {
  return {net::Code::kIo, fmt::format("the holder of announcements: {}: {}", what, std::strerror(errno))};
}

std::optional<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address = {};
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  return address;
}

net::Result<UniqueFd> listen_at(const std::string& path) {
  const auto address = unix_address(path);
  if (!address) return net::Error{net::Code::kInvalid, fmt::format("{} is too long for a socket", path)};
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return holder_failed("a socket");
  unlink(path.c_str());
  fchmod(fd.get(), 0600);  // of the file that bind() makes
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 || listen(fd.get(), 1) != 0)
    return holder_failed(path);
  return fd;
}

// Out of the way of the numbers that the holder's get.
UniqueFd moved_up(int fd) {
  return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, kHolderFds));
}

// One descriptor, as SCM_RIGHTS.
struct RightsMessage {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  char byte = 0;
  iovec data = {&byte, 1};
  msghdr head = {};
  RightsMessage() {
    head.msg_iov = &data;
    head.msg_iovlen = 1;
    head.msg_control = control.data();
    head.msg_controllen = control.size();
  }
};

bool send_fd(int to, int fd) {
  RightsMessage message;
  cmsghdr* rights = CMSG_FIRSTHDR(&message.head);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  return sendmsg(to, &message.head, MSG_NOSIGNAL) == 1;
}

std::optional<UniqueFd> receive_fd(int from) {
  RightsMessage message;
  if (recvmsg(from, &message.head, MSG_CMSG_CLOEXEC) != 1) return std::nullopt;
  const cmsghdr* rights = CMSG_FIRSTHDR(&message.head);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN(sizeof(int)))
    return std::nullopt;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  return UniqueFd(fd);
}

bool is_our_user(int peer) {
  ucred credentials = {};
  socklen_t size = sizeof credentials;
  return getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 && credentials.uid == geteuid();
}

// RETURNS: whether the descriptor is with another lbd now.
bool hand_over() {
  const UniqueFd peer(accept4(kListener, nullptr, nullptr, SOCK_CLOEXEC));
  return peer && is_our_user(peer.get()) && send_fd(peer.get(), kDevice);
}

void drop_packets() {
  std::array<char, 2048> packet;
  for (int i = 0; i < 256 && read(kDevice, packet.data(), packet.size()) > 0; i++) continue;
}

void unlink_listener() {
  sockaddr_un address = {};
  socklen_t size = sizeof address;
  if (getsockname(kListener, reinterpret_cast<sockaddr*>(&address), &size) == 0) unlink(address.sun_path);
}

// What the spawned process is given. REQUIRES: the descriptors are beyond its numbers.
struct Spawn {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  Spawn(int device, int listener, int life) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, device, kDevice);
    posix_spawn_file_actions_adddup2(&actions, listener, kListener);
    posix_spawn_file_actions_adddup2(&actions, life, kLife);
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    // Not lbd's session: what ends that must not end the holder.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Spawn() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
};

}  // namespace

VipHolder::VipHolder(pid_t process, UniqueFd life, std::string path)
    : process_(process), life_(std::move(life)), path_(std::move(path)) {}

net::Result<std::unique_ptr<VipHolder>> VipHolder::start(int device, const std::string& path,
                                                         const std::string& socket) {
  auto bound = listen_at(path);
  if (!bound) return std::move(bound).error();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return holder_failed("a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const UniqueFd tun = moved_up(device), listener = moved_up(bound->get()), life = moved_up(read_end.get());
  if (!tun || !listener || !life) return holder_failed("a descriptor");
  const Spawn spawn(tun.get(), listener.get(), life.get());
  std::string name = "lbd", option = kHoldOption, value = socket;
  char* const arguments[] = {name.data(), option.data(), value.data(), nullptr};
  pid_t process = 0;
  errno = posix_spawn(&process, "/proc/self/exe", &spawn.actions, &spawn.attributes, arguments, environ);
  if (errno != 0) return holder_failed("it does not start");
  return std::unique_ptr<VipHolder>(new VipHolder(process, std::move(write_end), path));
}

VipHolder::~VipHolder() {
  if (process_ > 0 && kill(process_, SIGKILL) == 0) waitpid(process_, nullptr, 0);
  unlink(path_.c_str());
}

bool VipHolder::is_alive() {
  if (process_ > 0 && waitpid(process_, nullptr, WNOHANG) != 0) process_ = 0;
  return process_ > 0;
}

std::optional<UniqueFd> take_from_holder(const std::string& path) {
  const auto address = unix_address(path);
  if (!address) return std::nullopt;
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience = {.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) return std::nullopt;
  return receive_fd(fd.get());
}

int hold_announcement(const std::string& socket, model::Orphans& orphans) {
  close_range(kHolderFds, ~0U, 0);
  // A packet on the device is a reason to wake only once lbd is dead: until then that one reads.
  pollfd life = {.fd = kLife, .events = POLLIN, .revents = 0};
  while ((life.revents & (POLLIN | POLLHUP)) == 0)
    if (poll(&life, 1, -1) < 0 && errno != EINTR) return 1;
  log(LogLevel::kWarning, "announcement_held", {{"why", "lbd is gone"}});
  while (true) {
    const auto state = orphans.show(socket);
    if (!state || !state->forwards) {
      log(LogLevel::kWarning, "announcement_ends",
          {{"why", state ? std::string("the programs forward no more") : state.error().message}});
      unlink_listener();
      return 0;
    }
    pollfd what[] = {{.fd = kListener, .events = POLLIN, .revents = 0},
                     {.fd = kDevice, .events = POLLIN, .revents = 0}};
    if (poll(what, 2, kLookMs) <= 0) continue;
    if ((what[0].revents & POLLIN) != 0 && hand_over()) return 0;
    drop_packets();
  }
}

}  // namespace lb::ctl
