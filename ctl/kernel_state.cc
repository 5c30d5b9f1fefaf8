#include "ctl/kernel_state.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "dataplane/net/headers.h"

namespace lb::ctl {
namespace {

// Attributes of one message by type; longer types than the table's are skipped.
template <size_t kMax>
using Attributes = std::array<const nlattr*, kMax + 1>;

template <size_t kMax>
int take_attribute(const nlattr* attr, void* table) {
  const uint16_t type = mnl_attr_get_type(attr);
  if (type <= kMax) (*static_cast<Attributes<kMax>*>(table))[type] = attr;
  return MNL_CB_OK;
}

template <size_t kMax>
Attributes<kMax> attributes(const nlmsghdr& message, size_t header) {
  Attributes<kMax> found{};
  if (mnl_nlmsg_get_payload_len(&message) < header) return found;
  mnl_attr_parse(&message, static_cast<unsigned>(header), take_attribute<kMax>, &found);
  return found;
}

template <class T>
const T* body(const nlmsghdr& message) {
  return mnl_nlmsg_get_payload_len(&message) < sizeof(T) ? nullptr
                                                         : static_cast<const T*>(mnl_nlmsg_get_payload(&message));
}

std::optional<net::Address> to_address(const void* bytes, size_t length) {
  if (length == 4) return net::Address::from_ipv4(static_cast<const uint8_t*>(bytes));
  if (length == 16) return net::Address::from_ipv6(static_cast<const uint8_t*>(bytes));
  return std::nullopt;
}

std::optional<net::Address> to_address(const nlattr* attr) {
  if (attr == nullptr) return std::nullopt;
  return to_address(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
}

// RTA_VIA: family, then the address; the gateway of an IPv4 route may be IPv6 (RFC 5549).
std::optional<net::Address> to_via(const nlattr* attr) {
  if (attr == nullptr || mnl_attr_get_payload_len(attr) < sizeof(uint16_t)) return std::nullopt;
  return to_address(static_cast<const char*>(mnl_attr_get_payload(attr)) + sizeof(uint16_t),
                    mnl_attr_get_payload_len(attr) - sizeof(uint16_t));
}

net::Mac to_mac(const nlattr* attr) {
  net::Mac mac;
  if (attr != nullptr && mnl_attr_get_payload_len(attr) == mac.bytes.size()) {
    std::memcpy(mac.bytes.data(), mnl_attr_get_payload(attr), mac.bytes.size());
  }
  return mac;
}

uint32_t to_u32(const nlattr* attr) {
  return attr != nullptr && mnl_attr_get_payload_len(attr) == sizeof(uint32_t) ? mnl_attr_get_u32(attr) : 0;
}

Route::Kind kind_of(uint8_t rtm_type) {
  switch (rtm_type) {
    case RTN_UNICAST:
      return Route::Kind::kUnicast;
    case RTN_LOCAL:
      return Route::Kind::kLocal;
    case RTN_BLACKHOLE:
      return Route::Kind::kBlackhole;
    case RTN_UNREACHABLE:
      return Route::Kind::kUnreachable;
    case RTN_PROHIBIT:
      return Route::Kind::kProhibit;
    default:
      return Route::Kind::kOther;
  }
}

// fib_props of net/ipv4/fib_semantics.c: what a lookup that ends in such a route returns.
Route::Kind kind_of_error(int error) {
  switch (error) {
    case EINVAL:
      return Route::Kind::kBlackhole;
    case EHOSTUNREACH:
      return Route::Kind::kUnreachable;
    case EACCES:
      return Route::Kind::kProhibit;
    default:
      return Route::Kind::kNone;
  }
}

uint32_t metric_mtu(const nlattr* metrics) {
  Attributes<RTAX_MAX> found{};
  if (metrics == nullptr) return 0;
  mnl_attr_parse_nested(metrics, take_attribute<RTAX_MAX>, &found);
  return to_u32(found[RTAX_MTU]);
}

uint16_t to_u16(const nlattr* attr) {
  return attr != nullptr && mnl_attr_get_payload_len(attr) == sizeof(uint16_t) ? mnl_attr_get_u16(attr) : 0;
}

void set_vlan(Link& link, const nlattr* linkinfo, const nlattr* below) {
  Attributes<IFLA_INFO_MAX> info{};
  if (linkinfo == nullptr || below == nullptr) return;
  mnl_attr_parse_nested(linkinfo, take_attribute<IFLA_INFO_MAX>, &info);
  const nlattr* kind = info[IFLA_INFO_KIND];
  if (kind == nullptr || info[IFLA_INFO_DATA] == nullptr) return;
  if (std::string_view(mnl_attr_get_str(kind), strnlen(mnl_attr_get_str(kind), mnl_attr_get_payload_len(kind))) !=
      "vlan")
    return;
  Attributes<IFLA_VLAN_MAX> vlan{};
  mnl_attr_parse_nested(info[IFLA_INFO_DATA], take_attribute<IFLA_VLAN_MAX>, &vlan);
  link.below = static_cast<int>(to_u32(below));
  link.vlan = to_u16(vlan[IFLA_VLAN_ID]);
  link.is_dot1q = vlan[IFLA_VLAN_PROTOCOL] == nullptr || lb_ntohs(to_u16(vlan[IFLA_VLAN_PROTOCOL])) == LB_ETH_VLAN;
}

KernelState::Effect route_effect(const nlmsghdr& message) {
  const auto* rt = body<rtmsg>(message);
  if (rt == nullptr || (rt->rtm_family != AF_INET && rt->rtm_family != AF_INET6)) return {};
  if ((rt->rtm_flags & RTM_F_CLONED) != 0) return {};  // a cache entry
  const auto attr = attributes<RTA_MAX>(message, sizeof(rtmsg));
  net::Prefix prefix;
  const uint8_t zero[16] = {};
  const net::Address any = rt->rtm_family == AF_INET ? net::Address::from_ipv4(zero) : net::Address::from_ipv6(zero);
  prefix.address = to_address(attr[RTA_DST]).value_or(any);
  prefix.length = rt->rtm_dst_len;
  return {.routes = false, .route = prefix, .neighbour = std::nullopt};
}

constexpr KernelState::Effect kAllRoutes{.routes = true, .route = std::nullopt, .neighbour = std::nullopt};

}  // namespace

bool Neighbour::usable() const {
  return (state & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)) != 0;
}

KernelState::Effect KernelState::apply(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return apply_link(message);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return apply_address(message);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return apply_neighbour(message);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return route_effect(message);
    case RTM_NEWRULE:
    case RTM_DELRULE:
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return kAllRoutes;
    default:
      return {};
  }
}

void KernelState::clear() {
  links_.clear();
  addresses_.clear();
  neighbours_.clear();
}

KernelState::Effect KernelState::apply_link(const nlmsghdr& message) {
  const auto* info = body<ifinfomsg>(message);
  // AF_BRIDGE messages tell of a bridge's port, not of a link.
  if (info == nullptr || info->ifi_family != AF_UNSPEC) return {};
  if (message.nlmsg_type == RTM_DELLINK) return links_.erase(info->ifi_index) > 0 ? kAllRoutes : Effect{};
  const auto attr = attributes<IFLA_MAX>(message, sizeof(ifinfomsg));
  Link link;
  if (attr[IFLA_IFNAME] != nullptr) {
    const char* name = mnl_attr_get_str(attr[IFLA_IFNAME]);
    link.name.assign(name, strnlen(name, mnl_attr_get_payload_len(attr[IFLA_IFNAME])));
  }
  link.mac = to_mac(attr[IFLA_ADDRESS]);
  link.mtu = to_u32(attr[IFLA_MTU]);
  set_vlan(link, attr[IFLA_LINKINFO], attr[IFLA_LINK]);
  link.up = (info->ifi_flags & IFF_UP) != 0 && (info->ifi_flags & IFF_RUNNING) != 0;
  Link& known = links_[info->ifi_index];
  if (known == link) return {};
  known = std::move(link);
  return kAllRoutes;
}

KernelState::Effect KernelState::apply_address(const nlmsghdr& message) {
  const auto* info = body<ifaddrmsg>(message);
  if (info == nullptr) return {};
  const auto attr = attributes<IFA_MAX>(message, sizeof(ifaddrmsg));
  // On a point-to-point link IFA_ADDRESS is the peer's, IFA_LOCAL ours.
  auto address = to_address(attr[IFA_LOCAL]);
  if (!address) address = to_address(attr[IFA_ADDRESS]);
  if (!address) return {};
  const uint32_t flags = attr[IFA_FLAGS] != nullptr ? to_u32(attr[IFA_FLAGS]) : info->ifa_flags;
  const std::pair key(static_cast<int>(info->ifa_index), *address);
  // A tentative address may turn out to be another host's (RFC 4862 section 5.4): not ours yet.
  const bool ours = message.nlmsg_type == RTM_NEWADDR && (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0;
  const bool changed = ours ? addresses_.insert(key).second : addresses_.erase(key) > 0;
  return changed ? kAllRoutes : Effect{};
}

KernelState::Effect KernelState::apply_neighbour(const nlmsghdr& message) {
  const auto* info = body<ndmsg>(message);
  if (info == nullptr || (info->ndm_family != AF_INET && info->ndm_family != AF_INET6)) return {};
  if ((info->ndm_flags & NTF_PROXY) != 0) return {};
  const auto attr = attributes<NDA_MAX>(message, sizeof(ndmsg));
  const auto address = to_address(attr[NDA_DST]);
  if (!address) return {};
  const NeighbourKey key(info->ndm_ifindex, *address);
  const auto known = neighbours_.find(key);
  const Effect effect{.routes = false, .route = std::nullopt, .neighbour = key};
  if (message.nlmsg_type == RTM_DELNEIGH) {
    if (known == neighbours_.end()) return {};
    neighbours_.erase(known);
    return effect;
  }
  const Neighbour next{info->ndm_state, to_mac(attr[NDA_LLADDR])};
  if (known == neighbours_.end()) {
    neighbours_.emplace(key, next);
    return effect;
  }
  const Neighbour before = std::exchange(known->second, next);
  // STALE, DELAY, PROBE, REACHABLE: the same to us. FAILED and INCOMPLETE are told apart in sentences only.
  const bool same = before.usable() == next.usable() && (before.mac == next.mac || !next.usable()) &&
                    (next.usable() || before.state == next.state);
  return same ? Effect{} : effect;
}

std::set<net::Address> KernelState::own_addresses() const {
  std::set<net::Address> own;
  for (const auto& [index, address] : addresses_) own.insert(address);
  return own;
}

const Link* KernelState::link(int index) const {
  const auto it = links_.find(index);
  return it == links_.end() ? nullptr : &it->second;
}

const Neighbour* KernelState::neighbour(const NeighbourKey& key) const {
  const auto it = neighbours_.find(key);
  return it == neighbours_.end() ? nullptr : &it->second;
}

std::optional<net::Address> KernelState::source_on(int index, net::Family family) const {
  static constexpr uint8_t kZero[4] = {};
  const std::pair first(index, net::Address::from_ipv4(kZero));  // the least address: IPv4 comes before IPv6
  for (auto it = addresses_.lower_bound(first); it != addresses_.end() && it->first == index; ++it) {
    const net::Address& a = it->second;
    if (a.family() == family && !a.is_link_local() && !a.is_loopback()) return a;
  }
  return std::nullopt;
}

model::PortAddress KernelState::addresses_on(const std::string& ifname) const {
  const auto it = std::ranges::find_if(links_, [&](const auto& l) { return l.second.name == ifname; });
  if (it == links_.end() || ifname.empty()) return {};
  const auto first_of = [&](net::Family family) {
    auto found = source_on(it->first, family);
    for (const auto& [index, link] : links_) {
      if (!found && link.below == it->first) found = source_on(index, family);
    }
    return found;
  };
  return {.ipv4 = first_of(net::Family::kIpv4), .ipv6 = first_of(net::Family::kIpv6)};
}

Route read_route(const nlmsghdr& message) {
  Route route;
  if (message.nlmsg_type == NLMSG_ERROR) {
    const auto* error = body<nlmsgerr>(message);
    route.kind = error == nullptr ? Route::Kind::kNone : kind_of_error(-error->error);
    return route;
  }
  const auto* rt = body<rtmsg>(message);
  if (rt == nullptr) return route;
  const auto attr = attributes<RTA_MAX>(message, sizeof(rtmsg));
  route.kind = kind_of(rt->rtm_type);
  route.interface = static_cast<int>(to_u32(attr[RTA_OIF]));
  route.gateway = to_address(attr[RTA_GATEWAY]);
  if (!route.gateway) route.gateway = to_via(attr[RTA_VIA]);
  route.source = to_address(attr[RTA_PREFSRC]);
  route.mtu = metric_mtu(attr[RTA_METRICS]);
  return route;
}

}  // namespace lb::ctl
