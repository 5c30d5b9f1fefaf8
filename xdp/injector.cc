#include "xdp/injector.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "xdp/interface.h"
#include "xdp/pass.skel.h"

namespace lb::xdp {

net::Result<Injector> Injector::load() {
  const std::unique_ptr<pass_bpf, void (*)(pass_bpf*)> skeleton(pass_bpf__open_and_load(), pass_bpf__destroy);
  if (!skeleton) return bpf_error("loading the program by which punted packets come back to the kernel", errno);
  // Of our own: the skeleton closes its one.
  Fd program(fcntl(bpf_program__fd(skeleton->progs.lbd_pass), F_DUPFD_CLOEXEC, 0));
  if (!program.valid()) return bpf_error("duplicating a descriptor", errno);
  return Injector(std::move(program));
}

bool Injector::give(const uint8_t* frame, size_t length, int index, uint64_t mark) noexcept {
  if (length > kLargestFrame) return false;
  std::array<uint8_t, kLargestFrame + sizeof mark> bytes;
  const size_t in_front = mark != 0 ? sizeof mark : 0;  // as the frame's metadata
  std::memcpy(bytes.data(), &mark, sizeof mark);
  std::memcpy(bytes.data() + in_front, frame, length);
  xdp_md context = {};
  context.data = static_cast<uint32_t>(in_front);
  context.data_end = static_cast<uint32_t>(in_front + length);
  context.ingress_ifindex = static_cast<uint32_t>(index);
  bpf_test_run_opts options = {};
  options.sz = sizeof options;
  options.data_in = bytes.data();
  options.data_size_in = context.data_end;
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  options.repeat = 1;
  options.batch_size = 1;
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  return bpf_prog_test_run_opts(program_.get(), &options) == 0;
}

}  // namespace lb::xdp
