#include "ctl/nic_messages.h"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "ctl/netlink_attributes.h"
#include "dataplane/model/config.h"

namespace lb::ctl {
namespace {

// linux/if_addr.h of kernels before 5.18 has neither.
constexpr uint16_t kIfaProto = 11;
constexpr uint8_t kProtoKernelLinkLocal = 3;
constexpr uint32_t kUserTicks = 100;  // USER_HZ: rta_cacheinfo is in them

// Gateway of a route or of one next hop; RTA_VIA: of the other family.
std::string gateway_text(const std::vector<Attribute>& attributes) {
  auto gateway = address_of(find(attributes, RTA_GATEWAY));
  if (const auto via = find(attributes, RTA_VIA); !gateway && via.size() > 2) gateway = address_of(via.subspan(2));
  return gateway ? " via " + gateway->to_string() : "";
}

struct NextHop {
  int interface = 0;
  std::string text;
};

std::vector<NextHop> next_hops(std::span<const uint8_t> multipath) {
  std::vector<NextHop> hops;
  while (const auto hop = value_of<rtnexthop>(multipath)) {
    if (hop->rtnh_len < sizeof *hop || hop->rtnh_len > multipath.size()) break;
    const auto inner = attributes(multipath.first(hop->rtnh_len), sizeof *hop);
    hops.push_back({hop->rtnh_ifindex, fmt::format("nexthop{} weight {}", gateway_text(inner), hop->rtnh_hops + 1)});
    multipath = multipath.subspan(std::min<size_t>(RTNH_ALIGN(hop->rtnh_len), multipath.size()));
  }
  return hops;
}

bool is_daemon(uint8_t protocol) {
  // linux/rtnetlink.h: those below are the kernel's, the administrator's, RA, DHCP and keepalived.
  switch (protocol) {
    case RTPROT_UNSPEC:
    case RTPROT_REDIRECT:
    case RTPROT_KERNEL:
    case RTPROT_BOOT:
    case RTPROT_STATIC:
    case RTPROT_RA:
    case RTPROT_DHCP:
    case RTPROT_KEEPALIVED:
      return false;
    default:
      return protocol < 200;  // 200 and above are nobody's: an administrator's own
  }
}

std::string route_text(const rtmsg& rt, const std::vector<Attribute>& found, const std::vector<NextHop>& hops) {
  const auto destination = address_of(find(found, RTA_DST));
  std::string text = rt.rtm_dst_len == 0 ? "default"
                     : destination       ? fmt::format("{}/{}", destination->to_string(), rt.rtm_dst_len)
                                         : "?";
  if (rt.rtm_dst_len == 0 && rt.rtm_family == AF_INET6) text = "default (IPv6)";
  text += gateway_text(found);
  for (const NextHop& hop : hops) text += " " + hop.text;
  if (const auto source = address_of(find(found, RTA_PREFSRC))) text += " src " + source->to_string();
  if (const uint32_t metric = u32_of(find(found, RTA_PRIORITY)); metric != 0) text += fmt::format(" metric {}", metric);
  if (const uint32_t table = u32_of(find(found, RTA_TABLE)); table != RT_TABLE_MAIN && table != 0)
    text += fmt::format(" table {}", table);
  return text;
}

std::vector<uint8_t> bytes_of(std::span<const uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

void put(nlmsghdr* request, uint16_t type, std::span<const uint8_t> value) {
  mnl_attr_put(request, type, value.size(), value.data());
}

// "eth0:x" of eth0 is "lbd-wan:x" of lbd-wan, as far as that is no longer than names are. Empty: without a label.
std::string label_for(const std::string& interface, const std::string& label) {
  const size_t colon = label.find(':');
  if (colon == std::string::npos) return "";
  const std::string now = interface + label.substr(colon);
  return now.size() > model::kMaxInterfaceName ? "" : now;
}

// Body first; RETURNS the attributes that follow it.
template <class Body>
std::vector<Attribute> put_body(nlmsghdr* request, const std::vector<uint8_t>& message, auto change) {
  Body body{};
  std::memcpy(&body, message.data(), std::min(sizeof body, message.size()));
  change(body);
  std::memcpy(mnl_nlmsg_put_extra_header(request, sizeof body), &body, sizeof body);
  return attributes(message, sizeof body);
}

}  // namespace

std::optional<Carried> read_carried_address(const nlmsghdr& message, int index) {
  const auto bytes = payload(message);
  const auto info = value_of<ifaddrmsg>(bytes);
  if (!info || message.nlmsg_type != RTM_NEWADDR || static_cast<int>(info->ifa_index) != index) return std::nullopt;
  const auto found = attributes(bytes, sizeof *info);
  if (value_of<uint8_t>(find(found, kIfaProto)) == kProtoKernelLinkLocal) return std::nullopt;
  const auto local = address_of(find(found, IFA_LOCAL)), peer = address_of(find(found, IFA_ADDRESS));
  if (!local && !peer) return std::nullopt;
  std::string text = local && peer && *local != *peer
                         ? fmt::format("{} peer {}/{}", local->to_string(), peer->to_string(), info->ifa_prefixlen)
                         : fmt::format("{}/{}", (local ? local : peer)->to_string(), info->ifa_prefixlen);
  return Carried{std::move(text), bytes_of(bytes)};
}

std::optional<CarriedRoute> read_carried_route(const nlmsghdr& message, int index) {
  const auto bytes = payload(message);
  const auto rt = value_of<rtmsg>(bytes);
  if (!rt || message.nlmsg_type != RTM_NEWROUTE || rt->rtm_type != RTN_UNICAST) return std::nullopt;
  if ((rt->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  const auto found = attributes(bytes, sizeof *rt);
  if (u32_of(find(found, RTA_TABLE)) == RT_TABLE_LOCAL) return std::nullopt;
  const auto hops = next_hops(find(found, RTA_MULTIPATH));
  const auto ours = std::count_if(hops.begin(), hops.end(), [&](const NextHop& hop) { return hop.interface == index; });
  if (hops.empty() ? static_cast<int>(u32_of(find(found, RTA_OIF))) != index : ours == 0) return std::nullopt;
  return CarriedRoute{.route = {route_text(*rt, found, hops), bytes_of(bytes)},
                      .is_default = rt->rtm_dst_len == 0 && u32_of(find(found, RTA_TABLE)) == RT_TABLE_MAIN,
                      .mixed = !hops.empty() && static_cast<size_t>(ours) != hops.size(),
                      .of_the_kernel = rt->rtm_protocol == RTPROT_KERNEL,
                      .of_a_daemon = is_daemon(rt->rtm_protocol)};
}

void put_address(nlmsghdr* request, const Carried& address, int index, const std::string& name) {
  uint32_t flags = 0;
  const auto found = put_body<ifaddrmsg>(request, address.message, [&](ifaddrmsg& body) {
    flags = body.ifa_flags;
    body.ifa_index = static_cast<uint32_t>(index);
    body.ifa_flags = 0;  // said by IFA_FLAGS
  });
  if (const auto all = find(found, IFA_FLAGS); !all.empty()) flags = u32_of(all);
  for (const Attribute& a : found) {
    if (a.type == IFA_FLAGS || a.type == IFA_LABEL || a.type == kIfaProto) continue;
    put(request, a.type, a.value);
  }
  if (const std::string label = label_for(name, text_value(find(found, IFA_LABEL))); !label.empty())
    mnl_attr_put_strz(request, IFA_LABEL, label.c_str());
  // Already ours, so that nobody needs to be asked whether it is in use; the rest of the flags is state.
  mnl_attr_put_u32(request, IFA_FLAGS,
                   (flags & (IFA_F_NOPREFIXROUTE | IFA_F_MANAGETEMPADDR | IFA_F_HOMEADDRESS)) | IFA_F_NODAD);
}

bool has_no_prefix_route(const Carried& address) {
  const auto info = value_of<ifaddrmsg>(address.message);
  if (!info) return false;
  const auto all = find(attributes(address.message, sizeof *info), IFA_FLAGS);
  return ((all.empty() ? info->ifa_flags : u32_of(all)) & IFA_F_NOPREFIXROUTE) != 0;
}

void put_route(nlmsghdr* request, const Carried& route, int index) {
  const auto found = put_body<rtmsg>(request, route.message, [](rtmsg& body) {
    body.rtm_flags &= RTNH_F_ONLINK;  // the others are state
  });
  for (const Attribute& a : found) {
    switch (a.type) {
      case RTA_OIF:
        mnl_attr_put_u32(request, RTA_OIF, static_cast<uint32_t>(index));
        break;
      case RTA_MULTIPATH: {
        std::vector<uint8_t> hops = bytes_of(a.value);
        for (size_t at = 0; at + sizeof(rtnexthop) <= hops.size();) {
          rtnexthop hop;
          std::memcpy(&hop, hops.data() + at, sizeof hop);
          if (hop.rtnh_len < sizeof hop) break;
          hop.rtnh_ifindex = index;
          hop.rtnh_flags &= RTNH_F_ONLINK;
          std::memcpy(hops.data() + at, &hop, sizeof hop);
          at += RTNH_ALIGN(size_t{hop.rtnh_len});
        }
        put(request, RTA_MULTIPATH, hops);
        break;
      }
      case RTA_CACHEINFO:
        // A route that a router announced ends when its lifetime does.
        if (const auto info = value_of<rta_cacheinfo>(a.value); info && info->rta_expires > 0)
          mnl_attr_put_u32(request, RTA_EXPIRES, static_cast<uint32_t>(info->rta_expires) / kUserTicks);
        break;
      case RTA_NH_ID:  // the object went with the interface; the message has its next hops as well
        break;
      default:
        put(request, a.type, a.value);
    }
  }
}

}  // namespace lb::ctl
