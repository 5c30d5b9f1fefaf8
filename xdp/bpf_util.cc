#include "xdp/bpf_util.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "xdp/interface.h"

namespace lb::xdp {
namespace {

std::string g_log;  // written by libbpf's print function while a LibbpfLog lives
libbpf_print_fn_t g_previous = nullptr;

__attribute__((format(printf, 2, 0))) int keep(enum libbpf_print_level level, const char* format, va_list args) {
  if (level == LIBBPF_DEBUG) return 0;
  char line[1024];
  const int n = std::vsnprintf(line, sizeof line, format, args);
  if (n > 0) g_log += line;
  return n;
}

}  // namespace

Fd& Fd::operator=(Fd&& o) noexcept {
  if (this != &o) {
    reset();
    fd_ = std::exchange(o.fd_, -1);
  }
  return *this;
}

void Fd::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

LibbpfLog::LibbpfLog() {
  g_log.clear();
  g_previous = libbpf_set_print(keep);
}

LibbpfLog::~LibbpfLog() {
  libbpf_set_print(g_previous);
}

std::string LibbpfLog::last_line() const {
  std::string_view rest = g_log;
  while (!rest.empty() && (rest.back() == '\n' || rest.back() == ' ')) rest.remove_suffix(1);
  const size_t start = rest.rfind('\n');
  if (start != std::string_view::npos) rest.remove_prefix(start + 1);
  if (rest.starts_with("libbpf: ")) rest.remove_prefix(8);
  return std::string(rest);
}

net::Result<ProgramInfo> program_info_of(int program_fd) {
  std::array<uint32_t, 64> ids{};
  bpf_prog_info info{};
  info.nr_map_ids = ids.size();
  info.map_ids = reinterpret_cast<uintptr_t>(ids.data());
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0)
    return bpf_error("asking the kernel about a BPF program", errno);
  ProgramInfo out;
  out.id = info.id;
  out.name.assign(info.name, ::strnlen(info.name, sizeof info.name));
  for (const __u8 b : info.tag) out.tag += fmt::format("{:02x}", b);
  out.map_ids.assign(ids.begin(), ids.begin() + std::min<size_t>(info.nr_map_ids, ids.size()));
  return out;
}

net::Result<ProgramInfo> program_info(uint32_t program_id) {
  const Fd fd(bpf_prog_get_fd_by_id(program_id));
  if (!fd.valid()) return bpf_error(fmt::format("opening BPF program {}", program_id), errno);
  return program_info_of(fd.get());
}

net::Result<Fd> open_map(const ProgramInfo& program, std::string_view name) {
  for (const uint32_t id : program.map_ids) {
    Fd fd(bpf_map_get_fd_by_id(id));
    if (!fd.valid()) continue;
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) continue;
    if (name == std::string_view(info.name, ::strnlen(info.name, sizeof info.name))) return fd;
  }
  return net::Error{net::Code::kNotFound,
                    fmt::format("BPF program {} (id {}) has no map `{}`", program.name, program.id, name)};
}

net::Result<MapInfo> map_info(int map_fd) {
  bpf_map_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(map_fd, &info, &size) != 0) return bpf_error("asking the kernel about a BPF map", errno);
  return MapInfo{.key_size = info.key_size,
                 .value_size = info.value_size,
                 .max_entries = info.max_entries,
                 .is_array = info.type == BPF_MAP_TYPE_ARRAY};
}

}  // namespace lb::xdp
