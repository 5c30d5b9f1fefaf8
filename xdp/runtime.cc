#include "xdp/runtime.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

namespace lb::xdp {
namespace {

constexpr std::string_view kLinkPrefix = "link-";
constexpr std::string_view kUnfinished = "%new";  // no name ends so: see kWritten

// What names hold that the file system takes for its own; '%' itself, so that there is a way back.
constexpr std::array<std::pair<char, std::string_view>, 2> kWritten = {{{'%', "%25"}, {'.', "%2E"}}};

bool is_bpffs(const std::string& folder) {
  struct statfs about = {};
  return statfs(folder.c_str(), &about) == 0 && static_cast<uint64_t>(about.f_type) == BPF_FS_MAGIC;
}

net::Error failed(const std::string& path, std::string_view what, int error) {
  if (error == EPERM || error == EACCES)
    return {net::Code::kPermission,
            fmt::format("{}: {}: not permitted; run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN", path,
                        what)};
  return {net::Code::kIo, fmt::format("{}: {}: {}", path, what, strerror(error))};
}

net::Status make_own_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed(path, "cannot be made", errno);
  struct stat about = {};
  if (lstat(path.c_str(), &about) != 0) return failed(path, "cannot be looked at", errno);
  if (S_ISDIR(about.st_mode) && about.st_uid == geteuid() && (about.st_mode & 0022) == 0) return {};
  return net::Error{
      net::Code::kPermission,
      fmt::format("{} is there already and is no folder that only its owner, the user that lbd runs as, can write to: "
                  "remove it, or correct its owner and mode",
                  path)};
}

// Empty: not known.
std::string mounts_of(pid_t process) {
  char name[PATH_MAX] = {};
  return readlink(fmt::format("/proc/{}/ns/mnt", process).c_str(), name, sizeof name - 1) > 0 ? name : std::string();
}

net::Status mount_on(const std::string& folder, const Log& log) {
  if (mount("bpf", folder.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0) {
    if (errno == ENODEV)
      return net::Error{net::Code::kUnsupported,
                        fmt::format("{}: this kernel has no BPF file system (CONFIG_BPF_SYSCALL)", folder)};
    return failed(folder, "the BPF file system cannot be mounted there", errno);
  }
  const std::string ours = mounts_of(getpid()), parent = mounts_of(getppid());
  if (!ours.empty() && !parent.empty() && ours != parent)
    log(
        fmt::format("{}: lbd has mount points of its own (ip netns exec, PrivateMounts=): when it dies, forwarding and "
                    "flow tables go with them; to keep them: mount -t bpf bpf {}, before lbd starts and outside of it",
                    folder, folder));
  return {};
}

std::vector<std::string> entries_of(const std::string& folder, bool folders_too) {
  std::vector<std::string> names;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir)) {
    if (std::strchr(entry->d_name, '.') != nullptr) continue;  // the kernel's own files too
    if (entry->d_type != DT_DIR || folders_too) names.emplace_back(entry->d_name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string runtime_folder(const std::string& socket) {
  const size_t slash = socket.rfind('/');
  return slash == std::string::npos ? "xdp" : socket.substr(0, slash + 1) + "xdp";
}

net::Result<Runtime> Runtime::open(const std::string& folder, const Log& log) {
  if (net::Status made = make_own_folder(folder); !made) return made.error();
  Runtime runtime;
  runtime.folder_ = folder;
  if (net::Status claimed = runtime.claim(); !claimed) return claimed.error();
  if (!is_bpffs(folder))
    if (net::Status mounted = mount_on(folder, log); !mounted) return mounted.error();
  // Of an lbd that was killed while it pinned.
  for (const std::string& name : runtime.names())
    if (name.ends_with(kUnfinished))
      if (net::Status removed = runtime.unpin(name); !removed) return removed.error();
  return runtime;
}

net::Result<Runtime> Runtime::find(const std::string& folder) {
  struct stat about = {};
  if (stat(folder.c_str(), &about) != 0 && errno != ENOENT) return failed(folder, "cannot be looked at", errno);
  if (!is_bpffs(folder))
    return net::Error{net::Code::kNotFound, fmt::format("{}: no BPF file system of lbd is there", folder)};
  if (access(folder.c_str(), R_OK | X_OK) != 0) return failed(folder, "cannot be read", errno);
  Runtime runtime;
  runtime.folder_ = folder;
  return runtime;
}

net::Result<bool> Runtime::is_in_use() const {
  const std::string path = folder_ + ".lock";
  const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) {
    if (errno == ENOENT) return false;
    return failed(path, "cannot be opened", errno);
  }
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  if (fcntl(file.get(), F_OFD_GETLK, &lock) != 0) return failed(path, "cannot be looked at", errno);
  return lock.l_type != F_UNLCK;
}

net::Status Runtime::claim() {
  const std::string path = folder_ + ".lock";
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return failed(path, "cannot be opened", errno);
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  if (fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) return failed(path, "cannot be locked", errno);
    return net::Error{
        net::Code::kUnavailable,
        fmt::format("another lbd has {}: stop it first, or give this one another daemon.socket", folder_)};
  }
  lock_ = std::move(file);
  return {};
}

net::Status Runtime::pin(int fd, const std::string& name) const {
  const std::string path = folder_ + "/" + name, fresh = path + std::string(kUnfinished);
  if (unlink(fresh.c_str()) != 0 && errno != ENOENT) return failed(fresh, "cannot be removed", errno);
  if (bpf_obj_pin(fd, fresh.c_str()) != 0) return failed(fresh, "cannot be pinned", errno);
  if (rename(fresh.c_str(), path.c_str()) == 0) return {};
  const net::Error error = failed(path, "cannot be put in place", errno);
  (void)unlink(fresh.c_str());
  return error;
}

net::Result<Fd> Runtime::pinned(const std::string& name) const {
  const std::string path = folder_ + "/" + name;
  Fd fd(bpf_obj_get(path.c_str()));
  if (fd.valid()) return fd;
  if (errno == ENOENT) return net::Error{net::Code::kNotFound, fmt::format("{} is not there", path)};
  return failed(path, "cannot be opened", errno);
}

net::Status Runtime::unpin(const std::string& name) const {
  const std::string path = folder_ + "/" + name;
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return failed(path, "cannot be removed", errno);
  return {};
}

std::vector<std::string> Runtime::names() const {
  return entries_of(folder_, false);
}

net::Status Runtime::make_folder(const std::string& name) const {
  const std::string path = folder_ + "/" + name;
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed(path, "cannot be made", errno);
  return {};
}

net::Status Runtime::rename_folder(const std::string& from, const std::string& to) const {
  const std::string source = folder_ + "/" + from, target = folder_ + "/" + to;
  if (rename(source.c_str(), target.c_str()) != 0) return failed(target, "cannot be put in place", errno);
  return {};
}

net::Status Runtime::remove_folder(const std::string& name) const {
  const std::string path = folder_ + "/" + name;
  for (const std::string& entry : entries_of(path, true))
    if (net::Status removed = unpin(name + "/" + entry); !removed) return removed;
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) return failed(path, "cannot be removed", errno);
  return {};
}

std::string link_pin(const std::string& ifname) {
  std::string pin(kLinkPrefix);
  for (const char c : ifname) {
    const auto* const written =
        std::find_if(kWritten.begin(), kWritten.end(), [c](const auto& one) { return one.first == c; });
    if (written != kWritten.end())
      pin += written->second;
    else
      pin += c;
  }
  return pin;
}

std::string ifname_of_pin(std::string_view pin) {
  std::string name;
  if (!pin.starts_with(kLinkPrefix)) return name;
  pin.remove_prefix(kLinkPrefix.size());
  while (!pin.empty()) {
    const auto* const written =
        std::find_if(kWritten.begin(), kWritten.end(), [pin](const auto& one) { return pin.starts_with(one.second); });
    name += written != kWritten.end() ? written->first : pin.front();
    pin.remove_prefix(written != kWritten.end() ? written->second.size() : 1);
  }
  return name;
}

}  // namespace lb::xdp
