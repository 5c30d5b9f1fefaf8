// From a route, the kernel's tables and our ports to a Reach: resolved, or the sentence why not.
#include <fmt/format.h>
#include <linux/neighbour.h>

#include <algorithm>

#include "ctl/kernel_state.h"

namespace lb::ctl {
namespace {

const PortLink* port_of(const std::string& ifname, const std::vector<PortLink>& ports) {
  const auto it = std::find_if(ports.begin(), ports.end(), [&](const PortLink& p) { return p.ifname == ifname; });
  return it == ports.end() || ifname.empty() ? nullptr : &*it;
}

// The port that frames to an interface leave by, in the VLAN that the interface is for.
struct Egress {
  const PortLink* port = nullptr;
  uint16_t vlan = 0;
};
Egress egress_of(const Link& link, const KernelState& state, const std::vector<PortLink>& ports) {
  const PortLink* port = port_of(link.name, ports);
  const Link* below = port != nullptr || link.below == 0 ? nullptr : state.link(link.below);
  if (below == nullptr) return {.port = port};
  return {.port = port_of(below->name, ports), .vlan = link.vlan};
}

std::string names_of(const std::vector<PortLink>& ports) {
  std::string text;
  for (const PortLink& p : ports) {
    if (!p.ifname.empty()) text += (text.empty() ? "" : ", ") + p.ifname;
  }
  return text.empty() ? "none of them is a kernel interface" : text;
}

// Why the route itself leads nowhere for us; empty when it leads out of a port.
std::string route_fault(const net::Address& backend, const Route& route, const KernelState& state,
                        const std::vector<PortLink>& ports) {
  const Link* const link = state.link(route.interface);
  const std::string to = backend.to_string();
  switch (route.kind) {
    case Route::Kind::kNone:
      return fmt::format("no route to {}", to);
    case Route::Kind::kLocal:
      return fmt::format("{} is an address of this host", to);
    case Route::Kind::kBlackhole:
      return fmt::format("the route to {} is a blackhole", to);
    case Route::Kind::kUnreachable:
      return fmt::format("the route to {} says unreachable", to);
    case Route::Kind::kProhibit:
      return fmt::format("the route to {} says prohibited", to);
    case Route::Kind::kOther:
      return fmt::format("the route to {} is no unicast route", to);
    case Route::Kind::kUnicast:
      break;
  }
  if (link == nullptr) return fmt::format("the interface of the route to {} is gone", to);
  const Egress egress = egress_of(*link, state, ports);
  if (egress.port == nullptr) {
    return fmt::format("the route to {} leaves by {}, which is no port of lbd ({}) nor a VLAN of one", to, link->name,
                       names_of(ports));
  }
  if (egress.vlan != 0 && !link->is_dot1q) {
    return fmt::format("the route to {} leaves by {}, whose tags are 802.1ad: lbd sends 802.1Q tags only", to,
                       link->name);
  }
  if (!link->up) return fmt::format("{} is down", link->name);
  return {};
}

std::string neighbour_fault(const net::Address& next_hop, const std::string& ifname, const Neighbour* neighbour,
                            bool silent) {
  if (neighbour != nullptr && neighbour->usable()) return {};
  if (silent || (neighbour != nullptr && (neighbour->state & NUD_FAILED) != 0)) {
    return fmt::format("neighbour {} on {} does not answer", next_hop.to_string(), ifname);
  }
  return fmt::format("neighbour {} on {} is not resolved yet", next_hop.to_string(), ifname);
}

std::optional<net::Address> source_of(const net::Address& backend, const Route& route, const KernelState& state) {
  const bool usable = route.source && route.source->family() == backend.family() && !route.source->is_link_local() &&
                      !route.source->is_unspecified();
  return usable ? route.source : state.source_on(route.interface, backend.family());
}

void set_mtu(model::Reach& reach, const Route& route, const Link& link, const PortLink& port) {
  uint32_t mtu = std::min(link.mtu, uint32_t{0xffff});
  const auto limit = [&](uint32_t by, model::MtuFrom from) {
    if (by == 0 || by >= mtu) return;
    mtu = by;
    reach.mtu_from = from;
  };
  limit(port.mtu, model::MtuFrom::kPort);
  limit(route.mtu, model::MtuFrom::kRoute);
  reach.mtu = static_cast<uint16_t>(mtu);
}

}  // namespace

std::optional<NeighbourKey> next_hop_of(const net::Address& backend, const Route& route, const KernelState& state,
                                        const std::vector<PortLink>& ports) {
  if (!route_fault(backend, route, state, ports).empty()) return std::nullopt;
  return NeighbourKey(route.interface, route.gateway.value_or(backend));
}

std::vector<model::PortAddress> port_addresses(const KernelState& state, const std::vector<PortLink>& ports) {
  std::vector<model::PortAddress> all;
  for (const PortLink& p : ports) {
    if (all.size() <= net::raw(p.port)) all.resize(net::raw(p.port) + 1);
    all[net::raw(p.port)] = state.addresses_on(p.ifname);
  }
  return all;
}

model::Reach make_reach(const net::Address& backend, const Route& route, const KernelState& state,
                        const std::vector<PortLink>& ports, bool silent) {
  model::Reach reach;
  const Link* link = state.link(route.interface);
  reach.why = route_fault(backend, route, state, ports);
  if (!reach.why.empty()) return reach;

  const net::Address next_hop = route.gateway.value_or(backend);
  const Neighbour* neighbour = state.neighbour({route.interface, next_hop});
  reach.why = neighbour_fault(next_hop, link->name, neighbour, silent);
  if (!reach.why.empty()) return reach;

  const auto source = source_of(backend, route, state);
  if (!source) {
    reach.why = fmt::format("{} has no {} address to send from{}", link->name, backend.is_ipv4() ? "IPv4" : "IPv6",
                            backend.is_ipv4() ? "" : " but link-local ones");
    return reach;
  }
  const Egress egress = egress_of(*link, state, ports);
  reach.resolved = true;
  reach.port = egress.port->port;
  reach.vlan = egress.vlan;
  reach.next_hop = next_hop;
  reach.on_link = !route.gateway;
  reach.source = *source;
  reach.dst_mac = neighbour->mac;
  reach.src_mac = link->mac;
  set_mtu(reach, route, *link, *egress.port);
  return reach;
}

}  // namespace lb::ctl
