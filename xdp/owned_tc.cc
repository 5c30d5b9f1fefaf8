#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <net/if.h>
#include <unistd.h>

#include "xdp/bpf_util.h"
#include "xdp/interface.h"
#include "xdp/owned_filter.h"
#include "xdp/owned_set.h"
#include "xdp/owned_tc.skel.h"

namespace lb::xdp {
namespace {

// Attach type BPF_TCX_INGRESS of linux/bpf.h since 6.6, which the headers here do not have yet; the number is ABI.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
// Place of the clsact filter: where a second lbd finds the first.
constexpr uint32_t kHandle = 0x1bd, kPriority = 1;

bpf_tc_hook ingress_hook(unsigned ifindex) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(ifindex);
  hook.attach_point = BPF_TC_INGRESS;
  return hook;
}

bpf_tc_opts our_place() {
  bpf_tc_opts opts{};
  opts.sz = sizeof opts;
  opts.handle = kHandle;
  opts.priority = kPriority;
  return opts;
}

struct Owner {  // struct lb_filter_owner of owned_tc.bpf.c
  uint64_t pid = 0, start_time = 0;
};
static_assert(sizeof(Owner) == 16);

// Field 22 of /proc/PID/stat; the fields before it may hold anything between parentheses. 0: no such process.
uint64_t start_time_of(uint64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(file, line)) return 0;
  const size_t after_name = line.rfind(')');
  if (after_name == std::string::npos) return 0;
  std::istringstream fields(line.substr(after_name + 1));
  std::string skipped;
  for (int field = 3; field < 22; field++) fields >> skipped;
  uint64_t ticks = 0;
  fields >> ticks;
  return ticks;
}

struct SkeletonDelete {
  void operator()(owned_tc_bpf* s) const { owned_tc_bpf__destroy(s); }
};
using Skeleton = std::unique_ptr<owned_tc_bpf, SkeletonDelete>;

net::Result<Skeleton> load() {
  const LibbpfLog words;
  Skeleton skeleton(owned_tc_bpf__open_and_load());
  if (!skeleton) return bpf_error(fmt::format("loading the tc filter program ({})", words.last_line()), errno);
  const uint32_t key = 0;
  const Owner owner{static_cast<uint64_t>(getpid()), start_time_of(static_cast<uint64_t>(getpid()))};
  if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.lbd_tc_owner), &key, &owner, BPF_ANY) != 0)
    return bpf_error("marking the tc filter as ours", errno);
  return skeleton;
}

class TcxFilter : public model::OwnedFilter {
 public:
  TcxFilter(Skeleton skeleton, Fd link)
      : skeleton_(std::move(skeleton)), link_(std::move(link)), set_(bpf_map__fd(skeleton_->maps.owned)) {}
  net::Status set_owned(std::span<const net::Address> addresses) override { return set_.replace(addresses); }
  std::string description() const override { return "af_packet"; }

 private:
  Skeleton skeleton_;
  Fd link_;  // closed: the kernel detaches
  OwnedSet set_;
};

class ClsactFilter : public model::OwnedFilter {
 public:
  ClsactFilter(Skeleton skeleton, unsigned ifindex)
      : skeleton_(std::move(skeleton)), ifindex_(ifindex), set_(bpf_map__fd(skeleton_->maps.owned)) {}
  ~ClsactFilter() override { detach(ifindex_); }
  ClsactFilter(const ClsactFilter&) = delete;
  ClsactFilter& operator=(const ClsactFilter&) = delete;
  net::Status set_owned(std::span<const net::Address> addresses) override { return set_.replace(addresses); }
  std::string description() const override { return "af_packet"; }

  // The clsact hook itself stays: others may use it, and alone it does nothing.
  static void detach(unsigned ifindex) {
    bpf_tc_hook hook = ingress_hook(ifindex);
    bpf_tc_opts opts = our_place();
    (void)bpf_tc_detach(&hook, &opts);
  }

 private:
  Skeleton skeleton_;
  unsigned ifindex_;
  OwnedSet set_;
};

// Process that a running lbd's filter names, 0 when the filter's owner is gone, -1 when the program is not lbd's.
int64_t running_owner(uint32_t program_id) {
  const auto program = program_info(program_id);
  if (!program) return 0;  // gone meanwhile
  const auto map = open_map(*program, "lbd_tc_owner");
  if (!map) return -1;
  const uint32_t key = 0;
  Owner owner;
  if (bpf_map_lookup_elem(map->get(), &key, &owner) != 0) return -1;
  const bool alive = owner.start_time != 0 && start_time_of(owner.pid) == owner.start_time;
  return alive ? static_cast<int64_t>(owner.pid) : 0;
}

net::Error busy(const std::string& ifname, int64_t pid) {
  return {net::Code::kUnavailable, fmt::format("{} is busy: process {} already takes its packets; one lbd can have a "
                                               "network interface: kill {}, or choose another interface",
                                               ifname, pid, pid)};
}

// A filter at our place: one of a dead lbd is removed, any other refuses us.
net::Status clear_stale(const std::string& ifname, bpf_tc_hook& hook) {
  bpf_tc_opts old = our_place();
  if (bpf_tc_query(&hook, &old) != 0 || old.prog_id == 0) return {};
  const int64_t pid = running_owner(old.prog_id);
  if (pid > 0) return busy(ifname, pid);
  if (pid < 0)
    return net::Error{net::Code::kUnavailable,
                      fmt::format("{} is busy: a foreign tc filter (BPF program {}) is at ingress priority {}; "
                                  "remove it: tc filter del dev {} ingress prio {}",
                                  ifname, old.prog_id, kPriority, ifname, kPriority)};
  bpf_tc_opts stale = our_place();
  if (const int failed = bpf_tc_detach(&hook, &stale); failed != 0)
    return bpf_error(fmt::format("{}: removing the tc filter of an lbd that is gone", ifname), -failed);
  return {};
}

// The link of a running lbd on this interface: tcx lets several programs attach, we do not.
int64_t running_tcx_owner(unsigned ifindex) {
  uint32_t ids[64] = {};
  uint32_t count = 64;
  if (bpf_prog_query(static_cast<int>(ifindex), kTcxIngress, 0, nullptr, ids, &count) != 0) return 0;
  for (uint32_t i = 0; i < count && i < 64; i++)
    if (const int64_t pid = running_owner(ids[i]); pid > 0) return pid;
  return 0;
}

}  // namespace

net::Result<std::unique_ptr<model::OwnedFilter>> attach_tcx(const std::string& ifname) {
  const unsigned ifindex = if_nametoindex(ifname.c_str());
  if (ifindex == 0) return no_such_interface(ifname);
  if (const int64_t pid = running_tcx_owner(ifindex); pid > 0) return busy(ifname, pid);
  auto skeleton = load();
  if (!skeleton) return skeleton.error();
  Fd link(bpf_link_create(bpf_program__fd((*skeleton)->progs.lbd_owned_tc), static_cast<int>(ifindex), kTcxIngress,
                          nullptr));
  if (!link.valid()) return bpf_error(fmt::format("{}: attaching the tc filter", ifname), errno);
  return std::unique_ptr<model::OwnedFilter>(std::make_unique<TcxFilter>(std::move(*skeleton), std::move(link)));
}

net::Result<std::unique_ptr<model::OwnedFilter>> attach_clsact(const std::string& ifname) {
  const unsigned ifindex = if_nametoindex(ifname.c_str());
  if (ifindex == 0) return no_such_interface(ifname);
  auto skeleton = load();
  if (!skeleton) return skeleton.error();
  bpf_tc_hook hook = ingress_hook(ifindex);
  if (const int failed = bpf_tc_hook_create(&hook); failed != 0 && failed != -EEXIST)
    return bpf_error(fmt::format("{}: making the clsact hook", ifname), -failed);
  if (net::Status cleared = clear_stale(ifname, hook); !cleared) return cleared.error();
  bpf_tc_opts opts = our_place();
  opts.prog_fd = bpf_program__fd((*skeleton)->progs.lbd_owned_tc);
  if (const int failed = bpf_tc_attach(&hook, &opts); failed != 0)
    return bpf_error(fmt::format("{}: attaching the tc filter", ifname), -failed);
  return std::unique_ptr<model::OwnedFilter>(std::make_unique<ClsactFilter>(std::move(*skeleton), ifindex));
}

}  // namespace lb::xdp
