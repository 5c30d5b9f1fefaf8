#include "dataplane/model/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <set>

#include "dataplane/net/outer.h"

namespace lb::model {
namespace {

constexpr lb_hash_key kKey{1, 2};
constexpr uint32_t kSlots = 251;

Address addr(std::string_view text) {
  return Address::parse(text).value();
}

// A small world that speaks in verbs.
struct World {
  Config config;
  Topology topology;
  IdTable ids;
  Compiler compiler{kKey};
  CompileStats stats;
  uint64_t generation = 0;

  void backend(const std::string& pool, const std::string& name, std::string_view address, uint32_t weight = 100) {
    config.pools[pool].name = pool;
    config.pools[pool].backends.push_back({.name = name, .address = addr(address), .weight = weight, .labels = {}});
    resolve(address);
  }
  void resolve(std::string_view address) {
    const uint8_t mac = addr(address).bytes()[15];
    topology.reach[addr(address)] = {.resolved = true,
                                     .why = {},
                                     .port = net::PortId{1},
                                     .next_hop = addr(address),
                                     .on_link = true,
                                     .source = addr(addr(address).is_ipv4() ? "10.0.0.1" : "2001:db8:1::1"),
                                     .dst_mac = {{2, 0, 0, 0, 0, mac}},
                                     .src_mac = {{2, 0, 0, 0, 1, 1}},
                                     .mtu = 1500};
  }
  void lose(std::string_view address) {
    topology.reach[addr(address)] = {};
    topology.reach[addr(address)].why = "no route to " + std::string(address);
  }
  void behind_gateway(std::string_view address, std::string_view gateway) {
    topology.reach[addr(address)].on_link = false;
    topology.reach[addr(address)].next_hop = addr(gateway);
  }
  Service& service(const std::string& name, const std::string& pool, std::vector<std::string> listen,
                   Forward forward = Forward::kIpip) {
    Service& s = config.services[name];
    s = {.name = name, .listen = {}, .pool = pool, .forward = forward, .table_size = kSlots};
    for (const std::string& l : listen) s.listen.push_back(Listener::parse(l).value());
    return s;
  }
  std::shared_ptr<const Snapshot> compile() {
    stats = {};
    auto s = compiler.compile(config, topology, ids, net::Generation{++generation}, &stats);
    EXPECT_TRUE(s);
    return s.value();
  }
};

uint32_t entry(const Snapshot& s, const IdTable& ids, const std::string& service) {
  EXPECT_EQ(s.service_names[net::raw(ids.service(service))], service);
  return net::raw(ids.service(service));
}

// An address of the outer header that the record keeps ready.
Address outer(const lb_backend& b, uint32_t at4, uint32_t at6) {
  lb_addr a{};
  if ((b.flags & LB_BACKEND_IPV6) != 0) {
    std::copy_n(b.head + at6, 16, a.b);
  } else {
    a.b[10] = a.b[11] = 0xff;
    std::copy_n(b.head + at4, 4, a.b + 12);
  }
  return Address(a);
}
Address address_of(const lb_backend& b) {
  return outer(b, LB_HEAD_IPV4_DST, LB_HEAD_IPV6_DST);
}
Address source_of(const lb_backend& b) {
  return outer(b, LB_HEAD_IPV4_SRC, LB_HEAD_IPV6_SRC);
}

std::set<std::string> named_in(const Snapshot& s, std::span<const uint16_t> slots) {
  std::set<std::string> names;
  for (uint16_t id : slots) names.insert(id == 0 ? "none" : address_of(s.backends[id]).to_string());
  return names;
}

TEST(Snapshot, EmptyConfigurationOwnsNothing) {
  World w;
  const auto s = w.compile();
  EXPECT_TRUE(owned_addresses(*s).empty());
  EXPECT_FALSE(s->listeners.empty());
  EXPECT_TRUE(std::has_single_bit(s->listeners.size()));
  EXPECT_TRUE(s->services.empty());
  EXPECT_EQ(s->backends.size(), 1u);
  EXPECT_EQ(s->generation, net::Generation{1});
  EXPECT_EQ(s->hash_key.k1, kKey.k1);
}

TEST(Snapshot, BackendLineHoldsWhatForwardingNeeds) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  w.backend("fe", "b", "2001:db8:1::12");
  w.behind_gateway("2001:db8:1::12", "fe80::1");
  w.service("web", "fe", {"192.0.2.10:80/tcp"});
  const auto s = w.compile();
  const lb_backend& a = s->backends[net::raw(w.ids.backend({"fe", "a", addr("10.0.0.11")}))];
  EXPECT_EQ(address_of(a), addr("10.0.0.11"));
  EXPECT_EQ(source_of(a), addr("10.0.0.1"));
  EXPECT_EQ(a.head[5], 11);
  EXPECT_EQ(a.head[6 + 4], 1);
  EXPECT_EQ(a.port, 1);
  EXPECT_EQ(a.mtu, 1500);
  EXPECT_EQ(a.flags, LB_BACKEND_RESOLVED | LB_BACKEND_ON_LINK | LB_BACKEND_SERVING | LB_BACKEND_READY);
  const lb_backend& b = s->backends[net::raw(w.ids.backend({"fe", "b", addr("2001:db8:1::12")}))];
  EXPECT_EQ(address_of(b), addr("2001:db8:1::12"));
  EXPECT_EQ(source_of(b), addr("2001:db8:1::1"));
  EXPECT_EQ(b.flags, LB_BACKEND_RESOLVED | LB_BACKEND_IPV6 | LB_BACKEND_SERVING | LB_BACKEND_READY);
}

TEST(Snapshot, UnresolvedBackendsAndWeightZeroAreNotEligibleAndSayWhy) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  w.backend("fe", "b", "10.0.0.12");
  w.backend("fe", "c", "10.0.0.13", 0);
  w.backend("fe", "d", "10.0.0.14");
  w.lose("10.0.0.12");
  w.topology.reach.erase(addr("10.0.0.14"));
  w.service("web", "fe", {"192.0.2.10:80/tcp"});
  const auto s = w.compile();
  EXPECT_EQ(named_in(*s, s->table_of(s->services[entry(*s, w.ids, "web")])), (std::set<std::string>{"10.0.0.11"}));
  EXPECT_EQ(s->backends[net::raw(w.ids.backend({"fe", "b", addr("10.0.0.12")}))].flags, LB_BACKEND_SERVING);
  ASSERT_EQ(s->backend_states.size(), 4u);
  EXPECT_EQ(s->backend_states[0].why_not_ipip, "");
  EXPECT_EQ(s->backend_states[1].why_not_ipip, "no route to 10.0.0.12");
  EXPECT_EQ(s->backend_states[2].why_not_ipip, "weight 0");
  EXPECT_EQ(s->backend_states[3].why_not_dsr, "next hop is not known");
}

TEST(Snapshot, NobodyEligibleGivesAnEmptyTable) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  w.lose("10.0.0.11");
  w.service("web", "fe", {"192.0.2.10:80/tcp"});
  const auto s = w.compile();
  EXPECT_EQ(named_in(*s, s->table_of(s->services[0])), (std::set<std::string>{"none"}));
  EXPECT_NE(s->live.at("web"), s->configured.at("web"));
}

TEST(Snapshot, DsrTakesOnlyOnLinkBackendsOfTheListenersFamily) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  w.backend("fe", "b", "10.0.0.12");
  w.backend("fe", "c", "2001:db8:1::13");
  w.behind_gateway("10.0.0.12", "10.0.0.254");
  w.service("both", "fe", {"192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"}, Forward::kDsr);
  w.service("four", "fe", {"192.0.2.11:80/tcp"}, Forward::kDsr);
  w.service("six", "fe", {"[2001:db8::11]:80/tcp"}, Forward::kDsr);
  w.service("tunnel", "fe", {"192.0.2.12:80/tcp"});
  const auto s = w.compile();
  const auto slots = [&](const char* name, net::Family f) {
    return named_in(*s, s->table_of(s->services[entry(*s, w.ids, name)], f));
  };
  EXPECT_EQ(slots("both", net::Family::kIpv4), (std::set<std::string>{"10.0.0.11"}));
  EXPECT_EQ(slots("both", net::Family::kIpv6), (std::set<std::string>{"2001:db8:1::13"}));
  EXPECT_EQ(slots("four", net::Family::kIpv4), (std::set<std::string>{"10.0.0.11"}));
  EXPECT_EQ(slots("six", net::Family::kIpv6), (std::set<std::string>{"2001:db8:1::13"}));
  EXPECT_EQ(slots("tunnel", net::Family::kIpv6), (std::set<std::string>{"10.0.0.11", "10.0.0.12", "2001:db8:1::13"}));
  EXPECT_EQ(s->backend_states[1].why_not_dsr, "not on link: next hop is 10.0.0.254");
  EXPECT_EQ(s->backend_states[1].why_not_ipip, "");
  EXPECT_EQ(s->services[entry(*s, w.ids, "six")].table4, s->services[entry(*s, w.ids, "both")].table6);
}

TEST(Snapshot, EqualTablesAreSharedAndUnchangedOnesCarriedOver) {
  World w;
  for (int i = 1; i <= 9; i++) w.backend("fe", "b" + std::to_string(i), "10.0.0.1" + std::to_string(i));
  for (int i = 1; i <= 9; i++) w.backend("be", "b" + std::to_string(i), "10.0.1.1" + std::to_string(i));
  for (int i = 0; i < 5; i++) {
    w.service("fe" + std::to_string(i), "fe", {"192.0.2.1:" + std::to_string(1000 + i) + "/tcp"});
    w.service("be" + std::to_string(i), "be", {"192.0.2.2:" + std::to_string(1000 + i) + "/tcp"}, Forward::kDsr);
  }
  const auto first = w.compile();
  EXPECT_EQ(w.stats.tables_built, 2u);
  EXPECT_EQ(w.stats.tables_reused, 8u);
  EXPECT_EQ(first->tables.size(), 2u);

  w.topology.reach[addr("10.0.0.11")].dst_mac.bytes[5] = 77;  // a next hop moved
  const auto second = w.compile();
  EXPECT_EQ(w.stats.tables_built, 0u);
  EXPECT_EQ(second->tables, first->tables);
  EXPECT_EQ(second->backends[net::raw(w.ids.backend({"fe", "b1", addr("10.0.0.11")}))].head[5], 77);

  w.config.pools["fe"].backends[0].weight = 50;
  const auto third = w.compile();
  EXPECT_EQ(w.stats.tables_built, 1u);
  EXPECT_EQ(third->live.at("be0"), first->live.at("be0"));
  EXPECT_NE(third->live.at("fe0"), first->live.at("fe0"));
}

TEST(Snapshot, ANeighbourThatComesBackFindsItsTable) {
  World w;
  for (int i = 1; i <= 9; i++) w.backend("fe", "b" + std::to_string(i), "10.0.0.1" + std::to_string(i));
  w.service("web", "fe", {"192.0.2.1:80/tcp"});
  const auto before = w.compile();
  w.lose("10.0.0.15");
  const auto without = w.compile();
  EXPECT_EQ(w.stats.tables_built, 1u);
  EXPECT_NE(without->live, before->live);
  EXPECT_EQ(without->configured, before->configured);
  w.resolve("10.0.0.15");
  const auto after = w.compile();
  EXPECT_EQ(w.stats.tables_built, 0u);
  EXPECT_EQ(after->live, before->live);
}

TEST(Snapshot, DigestsDependOnAddressesAndWeightsNotOnNamesIdsOrOrder) {
  const auto build = [](std::vector<std::pair<std::string, uint32_t>> backends, const std::string& prefix) {
    World w;
    w.backend("aaa", "first", "10.9.9.9");  // shifts the ids
    if (prefix == "x") w.backend("aaa", "second", "10.9.9.10");
    int n = 0;
    for (const auto& [address, weight] : backends) w.backend("fe", prefix + std::to_string(n++), address, weight);
    w.service("web", "fe", {"192.0.2.1:80/tcp"});
    return w.compile()->live.at("web");
  };
  const uint64_t digest = build({{"10.0.0.1", 100}, {"10.0.0.2", 50}, {"2001:db8::1", 10}}, "b");
  EXPECT_EQ(build({{"2001:db8::1", 10}, {"10.0.0.2", 50}, {"10.0.0.1", 100}}, "x"), digest);
  EXPECT_NE(build({{"2001:db8::1", 10}, {"10.0.0.2", 51}, {"10.0.0.1", 100}}, "b"), digest);
  EXPECT_NE(build({{"2001:db8::2", 10}, {"10.0.0.2", 50}, {"10.0.0.1", 100}}, "b"), digest);
}

TEST(Snapshot, ConfiguredDigestIsThatOfAllWithWeight) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  w.backend("fe", "b", "10.0.0.12");
  w.service("web", "fe", {"192.0.2.10:80/tcp"});
  w.lose("10.0.0.12");
  const uint64_t configured = w.compile()->configured.at("web");
  w.resolve("10.0.0.12");
  EXPECT_EQ(w.compile()->live.at("web"), configured);
}

TEST(Snapshot, AddressesKnowWhetherTheKernelHasThemAndTheirRanges) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  w.service("any", "fe", {"192.0.2.10:*/tcp", "192.0.2.11:80/tcp"});
  w.service("range", "fe", {"192.0.2.10:8000-8100/tcp", "192.0.2.10:53/udp", "[2001:db8::10]:1-9/udp"});
  w.topology.kernel_addresses.insert(addr("192.0.2.11"));
  const auto s = w.compile();
  EXPECT_EQ(owned_addresses(*s), (std::vector{addr("192.0.2.10"), addr("192.0.2.11"), addr("2001:db8::10")}));
  for (const lb_address_slot& slot : s->addresses) {
    if (slot.flags == 0) continue;
    const auto ranges = std::span(s->ranges).subspan(slot.range_start, slot.range_count);
    if (Address(slot.addr) == addr("192.0.2.10")) {
      EXPECT_EQ(slot.flags, LB_ADDR_USED);
      ASSERT_EQ(ranges.size(), 2u);
      EXPECT_EQ(ranges[0].first, 8000);
      EXPECT_EQ(ranges[0].last, 8100);
      EXPECT_EQ(ranges[0].any, 0);
      EXPECT_EQ(ranges[1].any, 1);
      EXPECT_EQ(s->listener_names[ranges[1].listener].to_string(), "192.0.2.10:*/tcp");
    } else if (Address(slot.addr) == addr("192.0.2.11")) {
      EXPECT_EQ(slot.flags, LB_ADDR_USED | LB_ADDR_KERNEL);
      EXPECT_EQ(ranges.size(), 0u);
    }
  }
}

TEST(Snapshot, AddressesKnowWhatTheOtherPortsGet) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  w.topology.kernel_addresses.insert(addr("192.0.2.11"));
  const auto flags = [&](NoListener word, const char* vip) {
    w.config.services.clear();
    w.service("web", "fe", {std::string(vip) + ":80/tcp"}).on_no_listener = word;
    const auto s = w.compile();
    for (const lb_address_slot& slot : s->addresses)
      if (slot.flags != 0) return slot.flags;
    return uint8_t{0};
  };
  struct Row {
    NoListener word;
    unsigned elsewhere, on_the_host;
  };
  for (const Row& r : {Row{NoListener::kAuto, 0, LB_ADDR_KERNEL}, Row{NoListener::kDrop, 0, 0},
                       Row{NoListener::kReject, LB_ADDR_REJECT, LB_ADDR_REJECT},
                       Row{NoListener::kPunt, LB_ADDR_KERNEL, LB_ADDR_KERNEL}}) {
    EXPECT_EQ(flags(r.word, "192.0.2.10"), LB_ADDR_USED | r.elsewhere) << to_string(r.word);
    EXPECT_EQ(flags(r.word, "192.0.2.11"), LB_ADDR_USED | r.on_the_host) << to_string(r.word);
  }
}

TEST(Snapshot, KnowsThePortsAddresses) {
  World w;
  w.topology.ports = {{}, {.ipv4 = addr("203.0.113.2"), .ipv6 = {}}};
  EXPECT_EQ(w.compile()->port_addresses, w.topology.ports);
}

TEST(Snapshot, ServiceKeepsItsIndexAndUnusedOnesAreEmpty) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  for (const char* name : {"a", "b", "c"})
    w.service(name, "fe", {std::string("192.0.2.10:") + char('1' + name[0] - 'a') + "/tcp"});
  w.compile();
  w.config.services.erase("b");
  const auto s = w.compile();
  ASSERT_EQ(s->services.size(), 3u);
  EXPECT_EQ(s->services[1].table_size, 0u);
  EXPECT_EQ(s->service_names[2], "c");
}

TEST(Snapshot, SchedulesArePassedOn) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  Service& web = w.service("web", "fe", {"192.0.2.10:80/tcp"}, Forward::kDsr);
  web.schedule = Schedule::kSourceHash;
  web.prefix4 = 24;
  web.prefix6 = 56;
  const auto s = w.compile();
  EXPECT_EQ(s->services[0].forward, LB_FORWARD_DSR);
  EXPECT_EQ(s->services[0].schedule, LB_SCHEDULE_SOURCE_HASH);
  EXPECT_EQ(s->services[0].prefix4, 24);
  EXPECT_EQ(s->services[0].prefix6, 56);
  EXPECT_EQ(s->services[0].table_size, kSlots);
}

// Frozen with hash-version 1, as docs/decisions/002-maglev.md publishes them.
TEST(Snapshot, FrozenDigests) {
  World w;
  w.backend("fe", "a", "10.0.0.11");
  w.backend("fe", "b", "10.0.0.12", 50);
  w.backend("fe", "c", "2001:db8:1::12", 10);
  w.service("small", "fe", {"192.0.2.1:80/tcp"});
  w.service("large", "fe", {"192.0.2.1:81/tcp"}).table_size = kDefaultTableSize;
  const auto s = w.compile();
  EXPECT_EQ(digest_text(s->live.at("small")), "821e71d1ec907c82");
  EXPECT_EQ(digest_text(s->live.at("large")), "ab5c05168d430827");
}

TEST(Snapshot, DigestTextIsSixteenLowerCaseHexDigits) {
  EXPECT_EQ(digest_text(0xABC), "0000000000000abc");
}

}  // namespace
}  // namespace lb::model
