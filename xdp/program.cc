#include "xdp/program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "xdp/interface.h"
#include "xdp/lb.skel.h"

namespace lb::xdp {
namespace {

// As large as the oldest kernel takes it: a log that does not fit hides the reason.
constexpr size_t kLogBytes = 16u << 20;

struct SkeletonDelete {
  void operator()(lb_bpf* s) const { lb_bpf__destroy(s); }
};
using Skeleton = std::unique_ptr<lb_bpf, SkeletonDelete>;

// The verifier's log ends with the reason and a line of statistics.
std::string_view reason_of(std::string_view log) {
  if (const size_t statistics = log.rfind("\nprocessed "); statistics != std::string_view::npos)
    log = log.substr(0, statistics);
  while (!log.empty() && (log.back() == '\n' || log.back() == '\0')) log.remove_suffix(1);
  const size_t start = log.rfind('\n');
  return start == std::string_view::npos ? log : log.substr(start + 1);
}

net::Error load_error(const lb_xdp_port& port, int error, std::string_view verifier, const LibbpfLog& words) {
  const std::string what = fmt::format("loading the XDP program of port {}", port.port);
  if (error == EPERM || error == EACCES) {
    // EACCES is the verifier's too.
    if (verifier.empty()) return bpf_error(what, error);
  }
  const std::string reason = verifier.empty() ? words.last_line() : std::string(verifier);
  return {net::Code::kUnsupported, fmt::format("{}: the kernel refuses it: {} ({})", what, reason, strerror(error))};
}

}  // namespace

net::Result<Program> Program::load(const Maps& maps, const lb_xdp_port& port) {
  const LibbpfLog words;
  const Skeleton skeleton(lb_bpf__open());
  if (!skeleton) return bpf_error("opening the XDP program", errno);
  for (const NamedFd& m : maps.all())
    if (bpf_map__reuse_fd(bpf_object__find_map_by_name(skeleton->obj, std::string(m.name).c_str()), m.fd) != 0)
      return bpf_error(fmt::format("giving BPF map {} to the XDP program", m.name), errno);
  memcpy(const_cast<lb_xdp_port*>(&skeleton->rodata->lb_port), &port, sizeof(port));
  const std::unique_ptr<char[]> log(new char[kLogBytes]);
  log[0] = '\0';
  bpf_program__set_log_buf(skeleton->progs.lbd_balance, log.get(), kLogBytes);
  if (const int failed = lb_bpf__load(skeleton.get()); failed != 0)
    return load_error(port, -failed, reason_of(log.get()), words);
  Program program;
  const int fd = bpf_program__fd(skeleton->progs.lbd_balance);
  program.fd_ = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!program.fd_.valid()) return bpf_error("keeping the XDP program", errno);
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return bpf_error("asking the kernel about the XDP program", errno);
  program.id_ = info.id;
  program.verified_ = info.verified_insns;
  return program;
}

}  // namespace lb::xdp
