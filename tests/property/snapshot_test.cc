// Random configurations: what the flat lookup tables answer is what a plain reading of the configuration answers.
#include "dataplane/model/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "dataplane/model/maglev.h"
#include "tests/property/random.h"

namespace lb::model {
namespace {

using property::Random;

Address random_address(Random& random, uint8_t net) {
  const auto host = static_cast<uint8_t>(random.below(24));
  if (random.chance(50)) {
    const uint8_t four[4] = {net, 0, 2, host};
    return Address::from_ipv4(four);
  }
  const uint8_t six[16] = {0x20, 1, 0xd, 0xb8, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host};
  return Address::from_ipv6(six);
}

Listener random_listener(Random& random) {
  Listener l{.address = random_address(random, 192),
             .proto = random.chance(50) ? net::IpProto::kTcp : net::IpProto::kUdp};
  const uint32_t kind = random.below(10);
  l.first = static_cast<uint16_t>(1 + random.below(40));
  l.last = l.first;
  if (kind < 2) l.last = static_cast<uint16_t>(l.first + 1 + random.below(10));
  if (kind == 2) l.first = 0, l.last = 65535;
  return l;
}

bool overlap(const Listener& a, const Listener& b) {
  return a.address == b.address && a.proto == b.proto && a.is_any() == b.is_any() && a.is_exact() == b.is_exact() &&
         a.first <= b.last && b.first <= a.last;
}

struct World {
  Config config;
  Topology topology;
};

void add_pool(World& w, Random& random, const std::string& name) {
  Pool& pool = w.config.pools[name];
  pool.name = name;
  std::set<Address> used;
  for (uint32_t i = 0; i < 1 + random.below(12); i++) {
    const Address a = random_address(random, 10);
    if (!used.insert(a).second) continue;
    pool.backends.push_back(
        {.name = "b" + std::to_string(i), .address = a, .weight = random.below(4) * 50, .labels = {}});
    if (random.chance(80))
      w.topology.reach[a] = {.resolved = true,
                             .why = {},
                             .port = net::PortId{static_cast<uint16_t>(random.below(2))},
                             .next_hop = a,
                             .on_link = random.chance(70),
                             .source = a,
                             .dst_mac = {},
                             .src_mac = {},
                             .mtu = 1500};
  }
}

World random_world(Random& random) {
  World w;
  const uint32_t pools = 1 + random.below(4);
  for (uint32_t p = 0; p < pools; p++) add_pool(w, random, "p" + std::to_string(p));
  std::vector<Listener> taken;
  for (uint32_t s = 0; s < 1 + random.below(30); s++) {
    Service service{.name = "s" + std::to_string(s), .listen = {}, .pool = "p" + std::to_string(random.below(pools))};
    service.forward = random.chance(50) ? Forward::kDsr : Forward::kIpip;
    service.table_size = random.chance(50) ? 251 : 509;
    for (uint32_t l = 0; l < 1 + random.below(6); l++) {
      const Listener candidate = random_listener(random);
      if (std::ranges::any_of(taken, [&](const Listener& t) { return overlap(t, candidate); })) continue;
      taken.push_back(candidate);
      service.listen.push_back(candidate);
    }
    w.config.services[service.name] = service;
  }
  for (int i = 0; i < 10; i++) w.topology.kernel_addresses.insert(random_address(random, 192));
  return w;
}

struct Answer {
  std::optional<std::string> service;  // nullopt: no listener
  bool owned = false, kernel = false;
};

// What the configuration says, read plainly.
Answer reference(const World& w, const Address& a, uint16_t port, net::IpProto proto) {
  Answer answer;
  int best = 3;
  for (const auto& [name, service] : w.config.services) {
    for (const Listener& l : service.listen) {
      if (l.address != a) continue;
      answer.owned = true;
      const int kind = l.is_exact() ? 0 : l.is_range() ? 1 : 2;
      if (l.proto != proto || port < l.first || port > l.last || kind >= best) continue;
      best = kind;
      answer.service = name;
    }
  }
  answer.kernel = answer.owned && w.topology.kernel_addresses.contains(a);
  return answer;
}

const lb_address_slot* find_address(const Snapshot& s, const lb_addr& a) {
  for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
    const auto& slot = s.addresses[(lb_address_hash(&a) + probe) & (s.addresses.size() - 1)];
    if (slot.flags != 0 && Address(slot.addr) == Address(a)) return &slot;
  }
  return nullptr;
}

std::optional<uint32_t> find_service(const Snapshot& s, const lb_address_slot& owned, uint16_t port, uint8_t proto) {
  const uint32_t hash = lb_listener_hash(lb_address_hash(&owned.addr), lb_htons(port), proto);
  for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
    const auto& slot = s.listeners[(hash + probe) & (s.listeners.size() - 1)];
    if (slot.proto == proto && slot.port == lb_htons(port) && Address(slot.addr) == Address(owned.addr))
      return slot.service;
  }
  for (uint32_t i = 0; i < owned.range_count; i++) {
    const lb_port_range& r = s.ranges[owned.range_start + i];
    if (r.proto == proto && port >= r.first && port <= r.last) return r.service;
  }
  return std::nullopt;
}

Answer look_up(const Snapshot& s, const Address& a, uint16_t port, net::IpProto proto) {
  const lb_address_slot* owned = find_address(s, a.raw());
  if (owned == nullptr) return {};
  Answer answer{.service = {}, .owned = true, .kernel = (owned->flags & LB_ADDR_KERNEL) != 0};
  if (const auto index = find_service(s, *owned, port, net::raw(proto))) answer.service = s.service_names[*index];
  return answer;
}

// The table of a service for one family of listeners, built anew from the configuration.
std::vector<uint16_t> expected_table(const World& w, const IdTable& ids, const Service& service, net::Family family) {
  std::vector<MaglevBackend> eligible;
  for (const Backend& b : w.config.pools.at(service.pool).backends) {
    const auto reach = w.topology.reach.find(b.address);
    if (reach == w.topology.reach.end()) continue;
    if (service.forward == Forward::kDsr && (!reach->second.on_link || b.address.family() != family)) continue;
    eligible.push_back(
        {.address = b.address, .weight = b.weight, .id = ids.backend({service.pool, b.name, b.address})});
  }
  return build_maglev(eligible, service.table_size);
}

void expect_lookups(const World& w, const Snapshot& s, Random& random) {
  for (int i = 0; i < 400; i++) {
    const Address a = random_address(random, random.chance(95) ? 192 : 11);
    const auto port = static_cast<uint16_t>(random.chance(90) ? random.below(56) : random.bits());
    const auto proto = random.chance(50) ? net::IpProto::kTcp : net::IpProto::kUdp;
    const Answer want = reference(w, a, port, proto), got = look_up(s, a, port, proto);
    ASSERT_EQ(got.service, want.service) << a.to_string() << ":" << port << " seed " << property::seed();
    ASSERT_EQ(got.owned, want.owned) << a.to_string() << " seed " << property::seed();
    ASSERT_EQ(got.kernel, want.kernel) << a.to_string() << " seed " << property::seed();
  }
}

void expect_tables(const World& w, const Snapshot& s, const IdTable& ids) {
  for (const auto& [name, service] : w.config.services) {
    for (const Listener& l : service.listen) {
      const auto slots = s.table_of(s.services[net::raw(ids.service(name))], l.address.family());
      ASSERT_TRUE(std::ranges::equal(slots, expected_table(w, ids, service, l.address.family())))
          << name << " seed " << property::seed();
    }
  }
  for (size_t i = 0; i < s.tables.size(); i++) {
    ASSERT_EQ(s.table_slots[i], s.tables[i]->slots.data());
    for (size_t j = 0; j < i; j++) ASSERT_FALSE(s.tables[i]->slots == s.tables[j]->slots) << "equal tables not shared";
  }
}

TEST(SnapshotProperty, AnswersAsTheConfigurationReads) {
  for (uint64_t round = 0; round < 150; round++) {
    SCOPED_TRACE("round " + std::to_string(round));
    Random random(round);
    Compiler compiler({1, 2});
    IdTable ids;
    for (uint64_t generation = 1; generation <= 3; generation++) {  // the same ids and cache over unrelated worlds
      const World w = random_world(random);
      const auto s = compiler.compile(w.config, w.topology, ids, net::Generation{generation});
      ASSERT_TRUE(s);
      expect_lookups(w, **s, random);
      expect_tables(w, **s, ids);
      const auto fresh = [&] {
        Compiler other({3, 4});
        IdTable other_ids;
        return other.compile(w.config, w.topology, other_ids, net::Generation{1}).value();
      }();
      ASSERT_EQ((*s)->live, fresh->live);  // a node that has lived long and one that starts now agree
      ASSERT_EQ((*s)->configured, fresh->configured);
    }
  }
}

}  // namespace
}  // namespace lb::model
