// The worlds of the cases:
//
//   clients --- router 02:..:fe --- [wan 02:..:01  lbd  lan 02:..:02] --- b11 10.0.0.11, b12 2001:db8:1::12
//                                                    |--- gateway 02:..:0a --- b13 10.9.0.13 (not on link, MTU 1400)
//                                                    |--- VLAN 30: b16 10.0.3.16
//                                                    \--- VLAN 4094: b17 2001:db8:3::17
#include <cstdio>
#include <cstdlib>

#include "tests/conformance/conformance.h"

namespace lb::conformance {
namespace {

using model::Forward;
using model::Schedule;

template <class T>
T must(net::Result<T> r) {
  if (r) return std::move(r).value();
  std::fprintf(stderr, "conformance world: %s\n", r.error().message.c_str());
  std::abort();
}
net::Address address(std::string_view text) {
  return must(net::Address::parse(text));
}

struct Link {
  std::string address, mac;
  std::string next_hop = {};  // empty: on link
  uint16_t mtu = 1500, port = kLan, vlan = 0;
};

void add_pool(World& w, const std::string& name, const std::vector<std::pair<std::string, Link>>& backends) {
  model::Pool pool{.name = name, .backends = {}};
  for (const auto& [backend, link] : backends) {
    const net::Address a = address(link.address);
    pool.backends.push_back({.name = backend, .address = a, .weight = 100, .labels = {}});
    w.topology.reach[a] = {.resolved = true,
                           .why = {},
                           .port = net::PortId{link.port},
                           .vlan = link.vlan,
                           .next_hop = link.next_hop.empty() ? a : address(link.next_hop),
                           .on_link = link.next_hop.empty(),
                           .source = address(a.is_ipv4() ? "10.0.0.1" : "2001:db8:1::1"),
                           .dst_mac = must(net::Mac::parse(link.mac)),
                           .src_mac = must(net::Mac::parse(link.port == kLan ? "02:00:00:00:00:02" : packet::kPortMac)),
                           .mtu = link.mtu};
  }
  w.config.pools[name] = std::move(pool);
}

model::Service& add_service(World& w, const std::string& name, const std::vector<std::string>& listen,
                            const std::string& pool, Forward forward = Forward::kIpip) {
  model::Service s;
  s.name = name;
  for (const std::string& l : listen) s.listen.push_back(must(net::Listener::parse(l)));
  s.pool = pool;
  s.forward = forward;
  s.table_size = 251;
  return w.config.services[name] = std::move(s);
}

void add_ports(World& w) {
  w.config.daemon.workers = {0};
  w.config.daemon.ports = {{.name = "wan", .device = "net_ring0", .mtu = {}},
                           {.name = "lan", .device = "net_ring1", .mtu = {}}};
}

World make_edge() {
  World w{.name = "edge", .config = {}, .topology = {}};
  add_ports(w);
  add_pool(w, "p4", {{"b11", {.address = "10.0.0.11", .mac = "02:00:00:00:01:11"}}});
  add_pool(w, "p6", {{"b12", {.address = "2001:db8:1::12", .mac = "02:00:00:00:01:12"}}});
  add_pool(w, "far",
           {{"b13", {.address = "10.9.0.13", .mac = "02:00:00:00:00:0a", .next_hop = "10.0.0.254", .mtu = 1400}}});
  add_pool(w, "hairpin", {{"b14", {.address = "203.0.113.14", .mac = "02:00:00:00:01:14", .port = kWan}}});
  add_pool(w, "many",
           {{"m1", {.address = "10.0.1.1", .mac = "02:00:00:00:02:01"}},
            {"m2", {.address = "10.0.1.2", .mac = "02:00:00:00:02:02"}},
            {"m3", {.address = "2001:db8:1::3", .mac = "02:00:00:00:02:03"}}});
  add_pool(w, "v30", {{"b16", {.address = "10.0.3.16", .mac = "02:00:00:00:01:16", .vlan = 30}}});
  add_pool(w, "v4094", {{"b17", {.address = "2001:db8:3::17", .mac = "02:00:00:00:01:17", .vlan = 4094}}});
  add_pool(w, "lost", {{"b15", {.address = "10.0.0.15", .mac = "02:00:00:00:01:15"}}});
  w.topology.reach[address("10.0.0.15")].resolved = false;

  add_service(w, "web", {"192.0.2.10:80/tcp", "192.0.2.10:53/udp", "[2001:db8::10]:80/tcp", "[2001:db8::10]:53/udp"},
              "p4");
  add_service(w, "web6", {"192.0.2.16:80/tcp", "192.0.2.16:53/udp", "[2001:db8::16]:80/tcp", "[2001:db8::16]:53/udp"},
              "p6");
  add_service(w, "direct4", {"192.0.2.20:80/tcp", "192.0.2.20:53/udp"}, "p4", Forward::kDsr);
  add_service(w, "direct6", {"[2001:db8::20]:80/tcp", "[2001:db8::20]:53/udp"}, "p6", Forward::kDsr);
  add_service(w, "back", {"192.0.2.21:80/tcp"}, "hairpin", Forward::kDsr);
  add_service(w, "lane", {"192.0.2.80:80/tcp", "192.0.2.80:53/udp", "[2001:db8::80]:80/tcp", "[2001:db8::80]:53/udp"},
              "v30");
  add_service(w, "lane6", {"192.0.2.81:80/tcp", "192.0.2.81:53/udp", "[2001:db8::81]:80/tcp", "[2001:db8::81]:53/udp"},
              "v4094");
  add_service(w, "straight4", {"192.0.2.82:80/tcp", "192.0.2.82:53/udp"}, "v30", Forward::kDsr);
  add_service(w, "straight6", {"[2001:db8::82]:80/tcp", "[2001:db8::82]:53/udp"}, "v4094", Forward::kDsr);
  add_service(w, "far", {"192.0.2.25:80/tcp", "[2001:db8::25]:80/tcp"}, "far");
  // One address whose ports are shared by three services: exact before range before any.
  add_service(w, "exact", {"192.0.2.30:8050/udp", "[2001:db8::30]:8050/udp"}, "p4");
  add_service(w, "range", {"192.0.2.30:8000-8100/udp", "[2001:db8::30]:8000-8100/udp"}, "far");
  add_service(w, "any", {"192.0.2.30:*/udp", "[2001:db8::30]:*/udp"}, "p6");
  add_service(w, "nobody", {"192.0.2.40:80/tcp", "[2001:db8::40]:80/tcp"}, "lost");
  add_service(w, "host", {"192.0.2.50:80/tcp", "[2001:db8::50]:80/tcp"}, "p4");
  w.topology.kernel_addresses = {address("192.0.2.50"), address("2001:db8::50"), address("192.0.2.72"),
                                 address("10.0.0.1")};
  w.topology.ports = {{.ipv4 = address("203.0.113.2"), .ipv6 = address("2001:db8:a::2")}, {}};
  using model::NoListener;
  add_service(w, "polite", {"192.0.2.70:80/tcp", "192.0.2.70:5000-5009/udp", "[2001:db8::70]:80/tcp"}, "p4")
      .on_no_listener = NoListener::kReject;
  add_service(w, "leaves", {"192.0.2.71:80/tcp"}, "p4").on_no_listener = NoListener::kPunt;
  add_service(w, "silent", {"192.0.2.72:80/tcp"}, "p4").on_no_listener = NoListener::kDrop;
  add_service(w, "spread", {"192.0.2.60:80/tcp", "[2001:db8::60]:80/tcp"}, "many");
  add_service(w, "sticky", {"192.0.2.61:80/tcp", "192.0.2.61:53/udp", "[2001:db8::61]:80/tcp"}, "many").schedule =
      Schedule::kSourceHash;
  add_service(w, "site", {"192.0.2.62:80/tcp"}, "many");
  w.config.services["site"].schedule = Schedule::kSourceHash;
  w.config.services["site"].prefix4 = 24;
  model::canonicalize(w.config);
  return w;
}

World make_empty() {
  World w{.name = "empty", .config = {}, .topology = {}};
  add_ports(w);
  return w;
}

}  // namespace

const World& edge() {
  static const World w = make_edge();
  return w;
}
const World& empty() {
  static const World w = make_empty();
  return w;
}

std::shared_ptr<const model::Snapshot> compile(const World& world) {
  model::IdTable ids;
  if (const net::Status s = ids.assign(world.config); !s) {
    std::fprintf(stderr, "conformance world %s: %s\n", world.name.c_str(), s.error().message.c_str());
    std::abort();
  }
  return must(model::Compiler(kKey).compile(world.config, world.topology, ids, net::Generation{1}));
}

}  // namespace lb::conformance
