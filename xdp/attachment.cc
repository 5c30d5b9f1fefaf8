#include "xdp/attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "xdp/interface.h"

namespace lb::xdp {
namespace {

using model::XdpMode;

const char* to_text(XdpMode mode) {
  return mode == XdpMode::kNative ? "native" : "generic";
}

net::Error attach_error(const std::string& ifname, XdpMode mode, int error) {
  if (error == EBUSY || error == EEXIST)
    return {net::Code::kUnavailable,
            fmt::format("{} is busy: another XDP program is attached ({}); end the program that owns it, or detach it: "
                        "ip link set dev {} xdp off",
                        ifname, attached_program(ifname), ifname)};
  if (error == ENODEV) return no_such_interface(ifname);
  net::Error e = bpf_error(fmt::format("{}: attaching the program in {} mode", ifname, to_text(mode)), error);
  if (mode == XdpMode::kNative && e.code == net::Code::kUnsupported)
    e.message += "; mode: generic works with every driver";
  return e;
}

// RETURNS the link, or -errno in `error`.
Fd create_link(int program_fd, unsigned ifindex, XdpMode mode, int& error) {
  bpf_link_create_opts opts{};
  opts.sz = sizeof opts;
  opts.flags = mode == XdpMode::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  Fd link(bpf_link_create(program_fd, static_cast<int>(ifindex), BPF_XDP, &opts));
  error = link.valid() ? 0 : errno;
  return link;
}

// Of what is attached; nothing where the kernel does not tell.
std::optional<XdpMode> mode_now(unsigned ifindex) {
  bpf_xdp_query_opts query{};
  query.sz = sizeof query;
  if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0) return std::nullopt;
  if (query.attach_mode == XDP_ATTACHED_DRV) return XdpMode::kNative;
  if (query.attach_mode == XDP_ATTACHED_SKB) return XdpMode::kGeneric;
  return std::nullopt;
}

// A former lbd's link on this interface; invalid: there is none. One on another interface, which had the name before,
// or on none at all, goes.
net::Result<Fd> find_link(const Runtime& runtime, const std::string& ifname, unsigned ifindex) {
  const std::string pin = link_pin(ifname);
  auto link = runtime.pinned(pin);
  if (!link) return link.error().code == net::Code::kNotFound ? net::Result<Fd>(Fd()) : link.error();
  const auto info = link_info(link->get());
  if (!info) return info.error();
  if (info->ifindex == ifindex) return link;
  if (net::Status off = take_off(runtime, pin, *link); !off) return off.error();
  return Fd();
}

// The link that was is put back where the new one cannot be had.
net::Result<Fd> change_mode(const Runtime& runtime, const std::string& ifname, Fd link, int program_fd, XdpMode mode) {
  const unsigned ifindex = if_nametoindex(ifname.c_str());
  const auto info = link_info(link.get());
  if (!info) return info.error();
  const Fd before(bpf_prog_get_fd_by_id(info->program));
  if (net::Status off = take_off(runtime, link_pin(ifname), link); !off) return off.error();
  int error = 0;
  Fd made = create_link(program_fd, ifindex, mode, error);
  if (made.valid()) return made;
  const XdpMode former = mode == XdpMode::kNative ? XdpMode::kGeneric : XdpMode::kNative;
  int again = 0;
  if (const Fd back = create_link(before.get(), ifindex, former, again); back.valid())
    (void)runtime.pin(back.get(), link_pin(ifname));
  return attach_error(ifname, mode, error);
}

}  // namespace

net::Status take_off(const Runtime& runtime, const std::string& pin, Fd& link) {
  if (net::Status unpinned = runtime.unpin(pin); !unpinned) return unpinned;
  if (link.valid() && bpf_link_detach(link.get()) != 0 && errno != ENOLINK)
    return bpf_error(fmt::format("{}: detaching the program", ifname_of_pin(pin)), errno);
  link.reset();
  return {};
}

net::Result<LinkInfo> link_info(int link_fd) {
  bpf_link_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(link_fd, &info, &size) != 0) return bpf_error("asking the kernel about a BPF link", errno);
  if (info.type != BPF_LINK_TYPE_XDP)
    return net::Error{net::Code::kInvalid, fmt::format("BPF link {} is no link of an XDP program", info.id)};
  return LinkInfo{.ifindex = info.xdp.ifindex, .program = info.prog_id};
}

net::Result<Attachment> Attachment::attach(const Runtime& runtime, const std::string& ifname, int program_fd,
                                           XdpMode mode, const Log& log) {
  const unsigned ifindex = if_nametoindex(ifname.c_str());
  if (ifindex == 0) return no_such_interface(ifname);
  auto found = find_link(runtime, ifname, ifindex);
  if (!found) return found.error();
  bool adopted = found->valid();
  Fd link = std::move(*found);
  if (adopted && mode_now(ifindex) == mode) {
    if (bpf_link_update(link.get(), program_fd, nullptr) != 0) return attach_error(ifname, mode, errno);
    return Attachment(runtime, ifname, std::move(link), mode, true);
  }
  if (adopted) {
    auto changed = change_mode(runtime, ifname, std::move(link), program_fd, mode);
    if (!changed) return changed.error();
    link = std::move(*changed);
    log(
        fmt::format("{}: the program of the lbd before was attached in another mode; it was taken off and this one "
                    "attached in {} mode, the kernel had the packets in between",
                    ifname, to_text(mode)));
  } else {
    int error = 0;
    link = create_link(program_fd, ifindex, mode, error);
    if (!link.valid()) return attach_error(ifname, mode, error);
  }
  if (net::Status pinned = runtime.pin(link.get(), link_pin(ifname)); !pinned) return pinned.error();
  return Attachment(runtime, ifname, std::move(link), mode, false);
}

net::Status Attachment::replace(int program_fd) const {
  if (bpf_link_update(link_.get(), program_fd, nullptr) == 0) return {};
  if (errno == ENOLINK)
    return net::Error{net::Code::kUnavailable,
                      fmt::format("{}: the interface is gone, and its program with it", ifname_)};
  return bpf_error(fmt::format("{}: replacing the program", ifname_), errno);
}

bool Attachment::is_attached() const {
  const auto info = link_info(link_.get());
  return info && info->ifindex != 0;
}

net::Status Attachment::detach() {
  return take_off(*runtime_, link_pin(ifname_), link_);
}

net::Status detach_others(const Runtime& runtime, std::span<const std::string> keep, const Log& log) {
  for (const std::string& pin : runtime.names()) {
    const std::string ifname = ifname_of_pin(pin);
    if (ifname.empty() || std::find(keep.begin(), keep.end(), ifname) != keep.end()) continue;
    auto link = runtime.pinned(pin);
    if (!link) return link.error();
    const auto info = link_info(link->get());
    const bool attached = info && info->ifindex != 0;
    if (net::Status off = take_off(runtime, pin, *link); !off) return off;
    if (attached)
      log(fmt::format("{}: the program of the lbd before is detached, the interface is not configured any more",
                      ifname));
  }
  return {};
}

}  // namespace lb::xdp
