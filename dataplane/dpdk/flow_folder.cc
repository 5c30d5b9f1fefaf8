// Where the flow tables' files lie: memory, so that no disk writes them back; named, so that the next lbd finds them.
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "dataplane/dpdk/flow_file.h"

namespace lb::dpdk {
namespace {

constexpr const char* kSharedMemory = "/dev/shm";

bool is_memory(const std::string& folder) {
  struct statfs about = {};
  if (statfs(folder.c_str(), &about) != 0) return false;
  const auto type = static_cast<uint64_t>(about.f_type);
  return type == TMPFS_MAGIC || type == HUGETLBFS_MAGIC || type == RAMFS_MAGIC;
}

net::Error failed(const std::string& path, const char* step) {
  return {net::Code::kIo, fmt::format("flow tables: {}: {}: {}", path, step, strerror(errno))};
}

net::Status make_own_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed(path, "cannot be made");
  struct stat about = {};
  if (lstat(path.c_str(), &about) != 0) return failed(path, "cannot be looked at");
  if (!S_ISDIR(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 0022) != 0)
    return net::Error{net::Code::kPermission,
                      fmt::format("flow tables: {} is there already and is no folder that only we can write to: "
                                  "remove it",
                                  path)};
  return {};
}

// The same for the same folder, so that a restart finds it.
std::string shared_memory_name(const std::string& folder) {
  uint64_t sum = 0xcbf29ce484222325ull;  // FNV-1a
  for (const char c : folder) sum = (sum ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return fmt::format("{}/lbd-{:016x}", kSharedMemory, sum);
}

net::Status link_to(const std::string& link, const std::string& target) {
  char now[PATH_MAX] = {};
  if (readlink(link.c_str(), now, sizeof now - 1) > 0 && target == now) return {};
  (void)unlink(link.c_str());
  if (symlink(target.c_str(), link.c_str()) != 0) return failed(link, "cannot be made");
  return {};
}

}  // namespace

net::Result<std::string> resolve_flow_folder(const std::string& folder, const Log& log) {
  const std::string parent = std::filesystem::path(folder).parent_path().string();
  std::error_code ignored;
  std::filesystem::create_directories(parent, ignored);
  struct stat about = {};
  const bool is_folder = lstat(folder.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
  if (is_memory(is_folder ? folder : parent)) {
    if (net::Status made = make_own_folder(folder); !made) return made.error();
    return folder;
  }
  if (!is_memory(kSharedMemory)) {
    if (net::Status made = make_own_folder(folder); !made) return made.error();
    log(fmt::format("flow tables: neither {} nor {} is memory (tmpfs): the disk below writes them back all the time",
                    folder, kSharedMemory));
    return folder;
  }
  std::string shared = shared_memory_name(std::filesystem::absolute(folder, ignored).string());
  if (net::Status made = make_own_folder(shared); !made) return made.error();
  if (is_folder) std::filesystem::remove(folder, ignored);
  if (net::Status linked = link_to(folder, shared); !linked) return linked.error();
  return shared;
}

}  // namespace lb::dpdk
