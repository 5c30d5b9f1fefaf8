// What every user of libbpf here needs: descriptors that close themselves, libbpf's own words in our sentences, and
// programs and maps found by kernel id. Control threads only.
#pragma once

#include <linux/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/net/result.h"

namespace lb::xdp {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Fd& operator=(Fd&& o) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }
  void reset() noexcept;
  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// While it lives, what libbpf would print is kept instead: warnings and the verifier's log. One at a time per process,
// since libbpf has one print function.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;
  std::string last_line() const;  // the last line that is not empty, without libbpf's prefix
};

struct ProgramInfo {
  uint32_t id = 0;
  std::string name;  // as in the C source, at most 15 bytes
  std::string tag;   // hash of the instructions, hex
  std::vector<uint32_t> map_ids;
};
net::Result<ProgramInfo> program_info(uint32_t program_id);
net::Result<ProgramInfo> program_info_of(int program_fd);

// The map of that name among a program's maps; kNotFound when it has none.
net::Result<Fd> open_map(const ProgramInfo& program, std::string_view name);

struct MapInfo {
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  bool is_array = false;
};
net::Result<MapInfo> map_info(int map_fd);

}  // namespace lb::xdp
