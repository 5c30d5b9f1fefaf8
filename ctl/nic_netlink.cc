#include "ctl/nic_netlink.h"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ctl/netlink_attributes.h"
#include "ctl/netlink_socket.h"
#include "ctl/nic_messages.h"

namespace lb::ctl {
namespace {

struct LinkFacts {
  int index = 0;
  net::Mac mac;
  uint32_t mtu = 0;
  uint32_t least_mtu = 0, most_mtu = 0;  // 0: the driver names none
  unsigned flags = 0;
  std::string kind;  // "tun", "veth", ...; empty: a device
};

struct Named {
  std::string name;
  LinkFacts facts;
};

Named read_link(const nlmsghdr& message) {
  Named link;
  const auto bytes = payload(message);
  const auto info = value_of<ifinfomsg>(bytes);
  if (!info) return link;
  link.facts.index = info->ifi_index;
  link.facts.flags = info->ifi_flags;
  const auto found = attributes(bytes, sizeof *info);
  link.name = text_value(find(found, IFLA_IFNAME));
  link.facts.kind = text_value(find(attributes(find(found, IFLA_LINKINFO), 0), IFLA_INFO_KIND));
  link.facts.mac = value_of<net::Mac>(find(found, IFLA_ADDRESS)).value_or(net::Mac());
  link.facts.mtu = u32_of(find(found, IFLA_MTU));
  link.facts.least_mtu = u32_of(find(found, IFLA_MIN_MTU));
  link.facts.most_mtu = u32_of(find(found, IFLA_MAX_MTU));
  return link;
}

net::Result<std::vector<Named>> read_links(NetlinkSocket& socket) {
  std::vector<Named> links;
  auto read = socket.dump_whole(
      RTM_GETLINK, AF_UNSPEC, [&] { links.clear(); },
      [&](const nlmsghdr& message) {
        if (message.nlmsg_type == RTM_NEWLINK) links.push_back(read_link(message));
      });
  if (!read) return read.error();
  return links;
}

net::Result<LinkFacts> find_link(NetlinkSocket& socket, const std::string& name) {
  const auto links = read_links(socket);
  if (!links) return links.error();
  const auto it = std::find_if(links->begin(), links->end(), [&](const Named& link) { return link.name == name; });
  if (it != links->end()) return it->facts;
  return net::Error{net::Code::kNotFound, fmt::format("there is no interface {} here; see: ip link", name)};
}

net::Result<std::optional<std::string>> name_of(NetlinkSocket& socket, int index) {
  const auto links = read_links(socket);
  if (!links) return links.error();
  for (const Named& link : *links) {
    if (link.facts.index == index) return std::optional(link.name);
  }
  return std::optional<std::string>();
}

void put_ip(nlmsghdr* request, uint16_t type, const net::Address& address) {
  const bool v4 = address.is_ipv4();
  mnl_attr_put(request, type, v4 ? 4 : 16, v4 ? address.ipv4_bytes() : address.bytes().data());
}

// One request that the kernel acknowledges. RETURNS: errno.
net::Result<int> ask(NetlinkSocket& socket, uint16_t type, uint16_t flags, const std::function<void(nlmsghdr*)>& fill) {
  NetlinkBatch batch;
  nlmsghdr* request = batch.add(type, static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags), 1);
  fill(request);
  batch.commit();
  if (auto sent = socket.send(batch); !sent) return sent.error();
  int error = EPROTO;
  auto answered = socket.receive(1, [&](const nlmsghdr& message) {
    if (message.nlmsg_type == NLMSG_ERROR)
      error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&message))->error;
  });
  if (!answered) return answered.error();
  return error;
}

net::Status to_status(const net::Result<int>& error, int fine, const std::string& what) {
  if (!error) return error.error();
  if (*error == 0 || *error == fine) return {};
  return net::Error{*error == EPERM ? net::Code::kPermission : net::Code::kIo,
                    fmt::format("{}: {}", what, std::strerror(*error))};
}

// Opens a socket, finds the interface, asks once.
net::Status change(const std::string& name, uint16_t type, uint16_t flags, int fine, const std::string& what,
                   const std::function<void(nlmsghdr*, const LinkFacts&)>& fill) {
  auto socket = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!socket) return socket.error();
  const auto link = find_link(*socket, name);
  if (!link) return link.error();
  return to_status(ask(*socket, type, flags, [&](nlmsghdr* request) { fill(request, *link); }), fine, what);
}

ifinfomsg* put_info(nlmsghdr* request, int index) {
  auto* info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)));
  info->ifi_index = index;
  return info;
}

net::Status set_up(const std::string& name, bool up) {
  return change(name, RTM_NEWLINK, 0, 0, fmt::format("ip link set {} {}", name, up ? "up" : "down"),
                [&](nlmsghdr* request, const LinkFacts& link) {
                  ifinfomsg* info = put_info(request, link.index);
                  info->ifi_change = IFF_UP;
                  info->ifi_flags = up ? static_cast<unsigned>(IFF_UP) : 0;
                });
}

net::Status read_addresses(NetlinkSocket& socket, int index, InterfaceState& state) {
  bool limited = false;
  const auto begin = [&] {
    state.addresses.clear();
    limited = false;
  };
  auto read = socket.dump_whole(RTM_GETADDR, AF_UNSPEC, begin, [&](const nlmsghdr& message) {
    if (auto address = read_carried_address(message, index)) {
      const auto* info = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
      limited |= (info->ifa_flags & IFA_F_PERMANENT) == 0;
      state.addresses.push_back(std::move(*address));
    }
  });
  if (limited)
    state.notes.push_back(
        "an address has a lifetime (DHCP, router advertisement): it is carried over with what is left of it; a DHCP "
        "client has to run on the new interface");
  return read;
}

net::Result<std::vector<CarriedRoute>> routes_by(NetlinkSocket& socket, int index) {
  std::vector<CarriedRoute> all;
  for (const int family : {AF_INET, AF_INET6}) {
    std::vector<CarriedRoute> found;
    auto read = socket.dump_whole(
        RTM_GETROUTE, static_cast<uint8_t>(family), [&] { found.clear(); },
        [&](const nlmsghdr& message) {
          if (auto route = read_carried_route(message, index)) found.push_back(std::move(*route));
        });
    if (!read) return read.error();
    all.insert(all.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  return all;
}

net::Status read_routes(NetlinkSocket& socket, int index, InterfaceState& state) {
  auto all = routes_by(socket, index);
  if (!all) return all.error();
  size_t of_daemons = 0;
  // With one such address, no route can be counted on to follow from an address; those that do are there already.
  const bool kernels_too = std::any_of(state.addresses.begin(), state.addresses.end(), has_no_prefix_route);
  for (CarriedRoute& route : *all) {
    if (route.of_the_kernel && !kernels_too) continue;
    if (route.is_default && state.default_route.empty()) state.default_route = route.route.text;
    if (route.mixed)
      state.mixed.push_back(std::move(route.route.text));
    else if (route.of_a_daemon)
      of_daemons++;
    else
      state.routes.push_back(std::move(route.route));
  }
  // A gateway has to be reachable on the link first.
  std::stable_partition(state.routes.begin(), state.routes.end(),
                        [](const Carried& route) { return route.text.find(" via ") == std::string::npos; });
  if (of_daemons > 0)
    state.notes.push_back(
        fmt::format("{} routes of a routing daemon are left to it: it has to know the new interface", of_daemons));
  return {};
}

}  // namespace

net::Result<InterfaceState> read_interface(const std::string& name) {
  auto socket = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!socket) return socket.error();
  const auto link = find_link(*socket, name);
  if (!link) return link.error();
  InterfaceState state;
  state.name = name;
  state.mac = link->mac;
  state.mtu = link->mtu;
  state.up = (link->flags & IFF_UP) != 0;
  state.carrier = state.up && (link->flags & IFF_RUNNING) != 0;
  if (auto read = read_addresses(*socket, link->index, state); !read) return read.error();
  if (auto read = read_routes(*socket, link->index, state); !read) return read.error();
  return state;
}

net::Result<std::optional<std::string>> interface_towards(const net::Address& address,
                                                          const std::optional<net::Address>& source) {
  auto socket = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!socket) return socket.error();
  NetlinkBatch batch;
  nlmsghdr* request = batch.add(RTM_GETROUTE, NLM_F_REQUEST, 1);
  auto* rt = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(rtmsg)));
  const bool v4 = address.is_ipv4();
  rt->rtm_family = v4 ? AF_INET : AF_INET6;
  rt->rtm_dst_len = v4 ? 32 : 128;
  put_ip(request, RTA_DST, address);
  if (source && source->is_ipv4() == v4) {
    rt->rtm_src_len = rt->rtm_dst_len;
    put_ip(request, RTA_SRC, *source);
  }
  batch.commit();
  if (auto sent = socket->send(batch); !sent) return sent.error();
  int index = 0;
  auto answered = socket->receive(1, [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWROUTE)
      index = static_cast<int>(u32_of(find(attributes(payload(message), sizeof(rtmsg)), RTA_OIF)));
  });
  if (!answered) return answered.error();
  return name_of(*socket, index);
}

net::Result<std::optional<std::string>> interface_with(const net::Address& address) {
  auto socket = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!socket) return socket.error();
  int index = 0;
  auto read = socket->dump_whole(
      RTM_GETADDR, AF_UNSPEC, [&] { index = 0; },
      [&](const nlmsghdr& message) {
        const auto bytes = payload(message);
        const auto info = value_of<ifaddrmsg>(bytes);
        if (!info || message.nlmsg_type != RTM_NEWADDR) return;
        const auto found = attributes(bytes, sizeof *info);
        const auto local = address_of(find(found, IFA_LOCAL));
        if ((local ? local : address_of(find(found, IFA_ADDRESS))) == address)
          index = static_cast<int>(info->ifa_index);
      });
  if (!read) return read.error();
  return name_of(*socket, index);
}

std::optional<host::MtuRange> mtu_range(const std::string& name) {
  auto socket = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!socket) return std::nullopt;
  const auto link = find_link(*socket, name);
  if (!link || link->most_mtu == 0) return std::nullopt;
  return host::MtuRange{link->least_mtu, link->most_mtu};
}

net::Status rename_interface(const std::string& from, const std::string& to) {
  if (auto down = set_up(from, false); !down) return down;  // older kernels rename nothing that is up
  return change(from, RTM_NEWLINK, 0, 0, fmt::format("ip link set {} name {}", from, to),
                [&](nlmsghdr* request, const LinkFacts& link) {
                  put_info(request, link.index);
                  mnl_attr_put_strz(request, IFLA_IFNAME, to.c_str());
                });
}

net::Status change_link(const std::string& name, const net::Mac& mac, uint32_t mtu, bool up) {
  const std::string what = fmt::format("ip link set {} address {} mtu {}", name, mac.to_string(), mtu);
  auto changed = change(name, RTM_NEWLINK, 0, 0, what, [&](nlmsghdr* request, const LinkFacts& link) {
    put_info(request, link.index);
    if (link.mac != mac) mnl_attr_put(request, IFLA_ADDRESS, mac.bytes.size(), mac.bytes.data());
    if (link.mtu != mtu) mnl_attr_put_u32(request, IFLA_MTU, mtu);
  });
  return changed ? set_up(name, up) : changed;
}

net::Status delete_tap(const std::string& name) {
  auto socket = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!socket) return socket.error();
  const auto found = find_link(*socket, name);
  if (!found) return found.error();
  if (found->kind != "tun")
    return net::Error{net::Code::kConflict, fmt::format("{} is no TAP interface, so it is none of lbd's", name)};
  return change(name, RTM_DELLINK, 0, 0, fmt::format("ip link delete {}", name),
                [](nlmsghdr* request, const LinkFacts& link) { put_info(request, link.index); });
}

net::Status give_address(const std::string& name, const Carried& address) {
  return change(name, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, EEXIST,
                fmt::format("ip address add {} dev {}", address.text, name),
                [&](nlmsghdr* request, const LinkFacts& link) { put_address(request, address, link.index, name); });
}

net::Status give_route(const std::string& name, const Carried& route) {
  // Appended: a route to the same prefix by another interface stays.
  return change(name, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, EEXIST,
                fmt::format("ip route add {} dev {}", route.text, name),
                [&](nlmsghdr* request, const LinkFacts& link) { put_route(request, route, link.index); });
}

}  // namespace lb::ctl
