#include "xdp/interface.h"

#include <cerrno>
#include <cstring>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <unistd.h>

#include "xdp/bpf_util.h"

namespace lb::xdp {
namespace {

// Of owned_filter.bpf.c, as the kernel knows them.
constexpr const char* kFilterProgram = "xsk_def_prog";
constexpr const char* kFilterMap = "owned";
// Of lb.bpf.c.
constexpr const char* kBalancer = "lbd_balance";
constexpr const char* kBalancerMap = "lb_config";

}  // namespace

net::Error no_such_interface(const std::string& ifname) {
  return {net::Code::kNotFound, fmt::format("no network interface '{}' here; see: ip link", ifname)};
}

net::Result<net::Mac> interface_mac(const std::string& ifname) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0)
    return net::Error{net::Code::kIo, fmt::format("listing network interfaces: {}", strerror(errno))};
  net::Result<net::Mac> found = no_such_interface(ifname);
  for (const ifaddrs* i = all; i != nullptr; i = i->ifa_next) {
    if (ifname != i->ifa_name || i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_PACKET) continue;
    sockaddr_ll link;
    memcpy(&link, i->ifa_addr, sizeof(link));
    net::Mac mac;
    memcpy(mac.bytes.data(), link.sll_addr, mac.bytes.size());
    found = mac;
    break;
  }
  freeifaddrs(all);
  return found;
}

std::string attached_program(const std::string& ifname) {
  uint32_t id = 0;
  if (bpf_xdp_query_id(static_cast<int>(if_nametoindex(ifname.c_str())), 0, &id) != 0 || id == 0) return "unknown";
  const int fd = bpf_prog_get_fd_by_id(id);
  if (fd < 0) return fmt::format("id {}", id);
  bpf_prog_info info = {};
  uint32_t length = sizeof(info);
  const bool told = bpf_obj_get_info_by_fd(fd, &info, &length) == 0;
  close(fd);
  return told ? fmt::format("{}, id {}", info.name, id) : fmt::format("id {}", id);
}

std::string busy_with(const std::string& ifname, const std::string& program) {
  return fmt::format(
      "{} is busy: another XDP program is attached ({}); end the program that owns it, or detach it: ip link set dev "
      "{} "
      "xdp off",
      ifname, program, ifname);
}

// The filter vanishes with its process; the balancer may be a killed lbd's, whose place the next one takes.
model::XdpUse xdp_use(const std::string& ifname) {
  using By = model::XdpUse::By;
  const unsigned ifindex = if_nametoindex(ifname.c_str());
  uint32_t id = 0;
  if (ifindex == 0 || bpf_xdp_query_id(static_cast<int>(ifindex), 0, &id) != 0 || id == 0) return {};
  const auto program = program_info(id);
  if (!program)
    return {By::kUntold,
            fmt::format("an XDP program is attached to {} (id {}), and only root may know whose it is", ifname, id)};
  if (program->name == kFilterProgram && open_map(*program, kFilterMap)) return {By::kLbd, ""};
  if (program->name == kBalancer && open_map(*program, kBalancerMap)) return {By::kLbd, ""};
  return {By::kOther, busy_with(ifname, fmt::format("{}, id {}", program->name, id))};
}

net::Error bpf_error(const std::string& what, int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return {net::Code::kPermission,
              fmt::format("{}: not permitted; run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW", what)};
    case EOPNOTSUPP:
    case EINVAL:
    case ERANGE:
    case ENOSYS:
      return {net::Code::kUnsupported, fmt::format("{}: kernel or driver cannot: {}", what, strerror(error))};
    default:
      return {net::Code::kIo, fmt::format("{}: {}", what, strerror(error))};
  }
}

}  // namespace lb::xdp
