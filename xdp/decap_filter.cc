#include "xdp/decap_filter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "xdp/decap_abi.h"
#include "xdp/interface.h"

namespace lb::xdp {
namespace {

// Priority 1 runs first. Handles differ, since on an interface with an old `ingress` qdisc the kernel puts what is
// attached to egress among the ingress filters, which is how that is noticed.
constexpr uint32_t kPriority = 1;

constexpr uint32_t handle_of(Direction direction) {
  return direction == Direction::kIngress ? 1 : 2;
}

constexpr const char* name_of(Direction direction) {
  return direction == Direction::kIngress ? "ingress" : "egress";
}

bpf_tc_hook hook_of(int ifindex, Direction direction) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = ifindex;
  hook.attach_point = direction == Direction::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  return hook;
}

bpf_tc_opts opts_of(uint32_t handle) {
  bpf_tc_opts opts{};
  opts.sz = sizeof opts;
  opts.handle = handle;
  opts.priority = kPriority;
  return opts;
}

// net/sched/cls_api.c, tc_get_tfilter(); silence is libbpf's answer to a classic BPF filter, which has no program id.
bool said_by_other_kind(std::string_view words) {
  return words.empty() || words.find("filter type does not match") != std::string_view::npos ||
         words.find("Protocol mismatch") != std::string_view::npos;
}

}  // namespace

DecapFilter::DecapFilter(std::string interface, int ifindex, Direction direction)
    : interface_(std::move(interface)), ifindex_(ifindex), direction_(direction) {}

std::string DecapFilter::words() const {
  return fmt::format("{} of {}", name_of(direction_), interface_);
}

net::Error DecapFilter::foreign(std::string_view who) const {
  return {net::Code::kUnavailable,
          fmt::format(
              "{} has the first place (priority {}) at tc {}, which is no program of ours; see it with `tc filter "
              "show dev {} {}`, remove it with `tc filter del dev {} {} pref {}`",
              who, kPriority, words(), interface_, name_of(direction_), interface_, name_of(direction_), kPriority)};
}

net::Result<std::optional<ProgramInfo>> DecapFilter::attached() const {
  const LibbpfLog log;
  const bpf_tc_hook hook = hook_of(ifindex_, direction_);
  bpf_tc_opts opts = opts_of(handle_of(direction_));
  const int error = -bpf_tc_query(&hook, &opts);
  if (error == ENOENT) return std::optional<ProgramInfo>();
  // EINVAL: a filter of another kind or protocol has the priority, or there is no qdisc or no filter at all yet. Only
  // the kernel's words tell; should they change, attach() finds out.
  if (error == EINVAL)
    return said_by_other_kind(log.last_line())
               ? net::Result<std::optional<ProgramInfo>>(foreign("another kind of filter"))
               : std::optional<ProgramInfo>();
  if (error != 0) return bpf_error(fmt::format("asking for the tc filters at {}", words()), error);
  const auto program = program_info(opts.prog_id);
  if (!program) return program.error();
  const bool ours = program->name == (direction_ == Direction::kIngress ? LB_DECAP_PROGRAM : LB_DECAP_MSS_PROGRAM);
  if (!ours) return foreign(fmt::format("BPF program {} (id {})", program->name, program->id));
  return std::optional<ProgramInfo>(*program);
}

net::Status DecapFilter::attach(int program_fd) const {
  const LibbpfLog log;
  const bpf_tc_hook hook = hook_of(ifindex_, direction_);
  bpf_tc_opts opts = opts_of(handle_of(direction_));
  opts.prog_fd = program_fd;
  opts.flags = BPF_TC_F_REPLACE;
  const int error = -bpf_tc_attach(&hook, &opts);
  if (error == EINVAL || error == EEXIST) return foreign("another kind of filter");
  if (error != 0) return bpf_error(fmt::format("attaching to tc {}", words()), error);
  if (direction_ == Direction::kIngress) return {};

  const bpf_tc_hook ingress = hook_of(ifindex_, Direction::kIngress);
  opts = opts_of(handle_of(direction_));
  if (bpf_tc_query(&ingress, &opts) != 0) return {};
  if (const auto undone = detach(); !undone) return undone;
  return net::Error{
      net::Code::kUnavailable,
      fmt::format("{} has an `ingress` qdisc, which has no egress side for the MSS clamp; replace it: `tc qdisc "
                  "del dev {} ingress` (its filters go too), then attach again",
                  interface_, interface_)};
}

net::Status DecapFilter::detach() const {
  const LibbpfLog log;
  const bpf_tc_hook hook = hook_of(ifindex_, direction_);
  const bpf_tc_opts opts = opts_of(handle_of(direction_));
  const int error = -bpf_tc_detach(&hook, &opts);
  if (error != 0 && error != ENOENT) return bpf_error(fmt::format("detaching from tc {}", words()), error);
  return {};
}

net::Status make_hooks(const std::string& interface, int ifindex) {
  const LibbpfLog log;
  bpf_tc_hook hook = hook_of(ifindex, Direction::kIngress);
  const int error = -bpf_tc_hook_create(&hook);
  if (error != 0 && error != EEXIST) return bpf_error(fmt::format("{}: adding a clsact qdisc", interface), error);
  return {};
}

}  // namespace lb::xdp
