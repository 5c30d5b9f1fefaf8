#include "xdp/owned_filter.h"

#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <utility>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <xdp/libxdp.h>

#include "xdp/bpf_util.h"
#include "xdp/interface.h"
#include "xdp/owned_filter.skel.h"
#include "xdp/owned_set.h"

namespace lb::xdp {
namespace {

struct SkeletonDelete {
  void operator()(owned_filter_bpf* s) const { owned_filter_bpf__destroy(s); }
};
using Skeleton = std::unique_ptr<owned_filter_bpf, SkeletonDelete>;

class XdpFilter : public model::OwnedFilter {
 public:
  XdpFilter(Skeleton skeleton, Fd link, bool native)
      : skeleton_(std::move(skeleton)),
        link_(std::move(link)),
        native_(native),
        set_(bpf_map__fd(skeleton_->maps.owned)) {}

  net::Status set_owned(std::span<const net::Address> addresses) override { return set_.replace(addresses); }
  std::string description() const override { return native_ ? "af_xdp native" : "af_xdp generic"; }

 private:
  Skeleton skeleton_;
  Fd link_;  // closed: the kernel detaches
  bool native_;
  OwnedSet set_;
};

// RETURNS the link's descriptor, or -errno.
int link_xdp(int program_fd, unsigned ifindex, uint32_t mode) {
  bpf_link_create_opts opts{};
  opts.sz = sizeof opts;
  opts.flags = mode;
  const int fd = bpf_link_create(program_fd, static_cast<int>(ifindex), BPF_XDP, &opts);
  return fd >= 0 ? fd : -errno;
}

net::Error attach_error(const std::string& ifname, int error) {
  if (error == EBUSY || error == EEXIST) return {net::Code::kUnavailable, busy_with(ifname, attached_program(ifname))};
  return bpf_error(fmt::format("{}: attaching the AF_XDP filter", ifname), error);
}

net::Result<Skeleton> load(const std::string& ifname) {
  auto mac = interface_mac(ifname);
  if (!mac) return mac.error();
  Skeleton skeleton(owned_filter_bpf__open());
  if (!skeleton) return bpf_error("opening the AF_XDP filter program", errno);
  memcpy(const_cast<uint8_t*>(skeleton->rodata->port_mac), mac->bytes.data(), mac->bytes.size());
  const LibbpfLog words;
  if (const int failed = owned_filter_bpf__load(skeleton.get()); failed != 0)
    return bpf_error(fmt::format("loading the AF_XDP filter program ({})", words.last_line()), -failed);
  return skeleton;
}

net::Result<std::unique_ptr<model::OwnedFilter>> attach(const std::string& ifname) {
  const unsigned ifindex = if_nametoindex(ifname.c_str());
  if (ifindex == 0) return no_such_interface(ifname);
  auto skeleton = load(ifname);
  if (!skeleton) return skeleton.error();
  const int program_fd = bpf_program__fd((*skeleton)->progs.xsk_def_prog);
  // Native is asked for by name: without a flag the kernel takes generic mode silently where a driver cannot.
  bool native = true;
  int link_fd = link_xdp(program_fd, ifindex, XDP_FLAGS_DRV_MODE);
  if (link_fd < 0 && link_fd != -EBUSY && link_fd != -EEXIST && link_fd != -EPERM) {
    native = false;
    link_fd = link_xdp(program_fd, ifindex, XDP_FLAGS_SKB_MODE);
  }
  if (link_fd < 0) return attach_error(ifname, -link_fd);
  return std::unique_ptr<model::OwnedFilter>(std::make_unique<XdpFilter>(std::move(*skeleton), Fd(link_fd), native));
}

// libxdp and libbpf talk to standard error about every program that they meet; ours is not one of theirs.
int say_nothing(libbpf_print_level, const char*, va_list) {
  return 0;
}
int xdp_say_nothing(libxdp_print_level, const char*, va_list) {
  return 0;
}

class Factory : public model::OwnedFilterFactory {
 public:
  Factory() {
    libbpf_set_print(say_nothing);
    libxdp_set_print(xdp_say_nothing);
  }
  net::Result<std::unique_ptr<model::OwnedFilter>> attach_xdp(const std::string& ifname) override {
    return attach(ifname);
  }
  net::Result<std::unique_ptr<model::OwnedFilter>> attach_tc(const std::string& ifname) override {
    auto filter = attach_tcx(ifname);
    if (filter || filter.error().code != net::Code::kUnsupported) return filter;
    return attach_clsact(ifname);
  }
};

}  // namespace

std::unique_ptr<model::OwnedFilterFactory> owned_filter_factory() {
  return std::make_unique<Factory>();
}

}  // namespace lb::xdp
