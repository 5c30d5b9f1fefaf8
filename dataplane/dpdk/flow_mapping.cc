#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "dataplane/dpdk/flow_file.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1; older C libraries do not have the name
#endif

namespace lb::dpdk {
namespace {

constexpr size_t kHuge = 2u << 20;
constexpr std::chrono::seconds kCollapseTime{5};
constexpr int kCollapseTries = 8;

net::Error failed(const std::string& path, const char* step) {
  return {net::Code::kIo, fmt::format("flow table {}: {}: {}", path, step, strerror(errno))};
}

// RETURNS: 0 or errno. A page that somebody just looked at is refused with EAGAIN, and is had a moment later; what is
// done already takes no time again.
int collapse_range(uint8_t* data, size_t bytes) {
  for (int tries = 1;; tries++) {
    if (madvise(data, bytes, MADV_COLLAPSE) == 0) return 0;
    if (errno != EAGAIN || tries == kCollapseTries) return errno;
  }
}

// At a multiple of 2 MB. Null: no address space.
uint8_t* map_aligned(int fd, size_t bytes) {
  void* hole = mmap(nullptr, bytes + kHuge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (hole == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(hole);
  const uintptr_t at = (begin + kHuge - 1) / kHuge * kHuge, end = at + (bytes + kHuge - 1) / kHuge * kHuge;
  if (at > begin) munmap(hole, at - begin);
  if (begin + bytes + kHuge > end) munmap(reinterpret_cast<void*>(end), begin + bytes + kHuge - end);
  void* data = mmap(reinterpret_cast<void*>(at), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  return data == MAP_FAILED ? nullptr : static_cast<uint8_t*>(data);
}

}  // namespace

FlowMapping::FlowMapping(FlowMapping&& other) noexcept {
  *this = std::move(other);
}

FlowMapping& FlowMapping::operator=(FlowMapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

FlowMapping::~FlowMapping() {
  if (data_ != nullptr) munmap(data_, size_);
  if (fd_ >= 0) close(fd_);
}

net::Result<FlowMapping> FlowMapping::map(const std::string& path) {
  FlowMapping m;
  m.path_ = path;
  m.fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (m.fd_ < 0) return failed(path, "cannot be opened");
  struct stat about = {};
  if (fstat(m.fd_, &about) != 0) return failed(path, "cannot be looked at");
  if (!S_ISREG(about.st_mode) || about.st_uid != geteuid())
    return net::Error{net::Code::kPermission, fmt::format("flow table {}: it is no file of ours", path)};
  m.size_ = static_cast<size_t>(about.st_size);
  if (m.size_ == 0) return net::Error{net::Code::kInvalid, fmt::format("flow table {}: it is empty", path)};
  m.data_ = map_aligned(m.fd_, m.size_);
  if (m.data_ == nullptr) return failed(path, "cannot be mapped");
  return m;
}

net::Result<FlowMapping> FlowMapping::create(const std::string& path, size_t bytes, size_t first_used) {
  (void)unlink(path.c_str());
  FlowMapping m;
  m.path_ = path;
  m.size_ = bytes;
  m.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (m.fd_ < 0) return failed(path, "cannot be made");
  const auto give_up = [&](const char* step) {
    net::Error error = failed(path, step);
    (void)unlink(path.c_str());
    return error;
  };
  if (ftruncate(m.fd_, static_cast<off_t>(bytes)) != 0) return give_up("cannot grow");
  // Now, rather than a SIGBUS in a worker when memory is short.
  if (fallocate(m.fd_, 0, static_cast<off_t>(first_used), static_cast<off_t>(bytes - first_used)) != 0) {
    net::Error error = give_up("no memory for it");
    error.message += fmt::format(" ({} MB; make daemon.flows smaller)", bytes >> 20);
    return error;
  }
  m.data_ = map_aligned(m.fd_, bytes);
  if (m.data_ == nullptr) return give_up("cannot be mapped");
  return m;
}

net::Status FlowMapping::publish_as(const std::string& path) {
  if (rename(path_.c_str(), path.c_str()) != 0) return failed(path_, "cannot be renamed");
  path_ = path;
  return {};
}

// On a thread of its own: the kernel first waits for every core, and one that is held by a real-time process would hold
// the start up for good. What comes after the wait comes while packets flow already.
bool FlowMapping::collapse() {
  const size_t whole = size_ / kHuge * kHuge;
  if (whole == 0) return true;
  std::packaged_task<int()> task([data = data_, whole] { return collapse_range(data, whole); });
  std::future<int> done = task.get_future();
  std::thread(std::move(task)).detach();
  if (done.wait_for(kCollapseTime) == std::future_status::timeout) {
    errno = ETIMEDOUT;
    return false;
  }
  errno = done.get();
  return errno == 0;
}

void FlowMapping::give_back() noexcept {
  (void)unlink(path_.c_str());
  (void)fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_));
}

}  // namespace lb::dpdk
