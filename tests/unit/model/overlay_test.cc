#include "dataplane/model/overlay.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/model/snapshot.h"

namespace lb::model {
namespace {

net::Address addr(const std::string& text) {
  return net::Address::parse(text).value();
}

Config pool_of(std::initializer_list<std::pair<const char*, const char*>> backends) {
  Config c;
  c.pools["fe"].name = "fe";
  for (const auto& [name, address] : backends)
    c.pools["fe"].backends.push_back({.name = name, .address = addr(address), .labels = {}});
  c.services["web"] = {.name = "web", .listen = {Listener::parse("192.0.2.1:80/tcp").value()}, .pool = "fe"};
  c.services["web"].table_size = 251;
  canonicalize(c);
  return c;
}

const BackendKey kA{"fe", "a", addr("10.0.0.1")}, kB{"fe", "b", addr("10.0.0.2")};
const Config kBoth = pool_of({{"a", "10.0.0.1"}, {"b", "10.0.0.2"}}), kOnlyA = pool_of({{"a", "10.0.0.1"}});

TEST(Overlay, ARemovedBackendLeavesAndComesBack) {
  Overlay o = carry({}, kBoth, kOnlyA, 1000, 900);
  ASSERT_EQ(o.leaving.size(), 1u);
  EXPECT_EQ(o.leaving.at(kB), (Leaving{1000, 1900}));
  EXPECT_EQ(backend_addresses(kOnlyA, o), (std::vector{addr("10.0.0.1"), addr("10.0.0.2")}));
  EXPECT_TRUE(carry(o, kOnlyA, kBoth, 1100).leaving.empty());
  EXPECT_TRUE(expire(o, kOnlyA, 1899).empty());
  EXPECT_EQ(expire(o, kOnlyA, 1900).size(), 1u);
  EXPECT_TRUE(o.empty());
}

TEST(Overlay, AnotherAddressIsAnotherBackend) {
  const Config moved = pool_of({{"a", "10.0.0.1"}, {"b", "10.0.0.9"}});
  const Overlay o = carry({}, kBoth, moved, 5, 10);
  ASSERT_EQ(o.leaving.size(), 1u);
  EXPECT_TRUE(o.leaving.contains(kB));
}

TEST(Overlay, ADrainOutlivesChangesButNotItsBackend) {
  Overlay o;
  o.drained[{"fe", "a"}] = {.uid = 0, .login_uid = {}, .reason = "disk", .since = 1, .expires = 50};
  o.drained[{"fe", "b"}] = {.uid = 0, .login_uid = {}, .reason = {}, .since = 1, .expires = 0};
  o = carry(o, kBoth, kOnlyA, 10);
  EXPECT_EQ(o.drained.size(), 1u);
  EXPECT_TRUE(expire(o, kOnlyA, 49).empty());
  const auto said = expire(o, kOnlyA, 50);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("fe/a"), std::string::npos);
}

TEST(Overlay, AServiceRemembersItsFormerPool) {
  Config to = kBoth;
  to.pools["new"] = {.name = "new", .backends = {{.name = "n", .address = addr("10.0.1.1"), .labels = {}}}};
  to.services["web"].pool = "new";
  Config without = to;
  without.pools.erase("fe");
  Overlay o = carry({}, kBoth, without, 100, 900);
  EXPECT_EQ(o.former_pools.at("web"), (FormerPool{"fe", 1000}));
  EXPECT_EQ(o.leaving.size(), 2u) << "the former pool's flows go on";
  const Overlay back = carry(carry({}, kBoth, to, 100, 900), to, kBoth, 200, 900);
  EXPECT_EQ(back.former_pools.at("web"), (FormerPool{"new", 1100}));
  EXPECT_EQ(expire(o, without, 1000).size(), 3u);
  EXPECT_TRUE(o.empty());
}

TEST(Overlay, NothingLeavesAPoolThatNoServiceUses) {
  Config from = kBoth, to = kOnlyA;
  from.services.clear();
  to.services.clear();
  EXPECT_TRUE(carry({}, from, to, 1).empty());
  Config gone;
  EXPECT_TRUE(carry({}, kBoth, gone, 1).empty()) << "the service and its listener went, too";
}

// What compile() makes of them.
struct Compiled {
  Config config;
  Overlay overlay;
  IdTable ids;
  Topology topology;
  Compiler compiler{lb_hash_key{1, 2}};
  std::shared_ptr<const Snapshot> run() {
    topology = {};
    for (const net::Address& a : backend_addresses(config, overlay)) {
      Reach& reach = topology.reach[a];
      reach.resolved = reach.on_link = true;
      reach.next_hop = a;
      reach.mtu = 1500;
    }
    auto s = compiler.compile(config, topology, ids, net::Generation{1}, nullptr, overlay);
    EXPECT_TRUE(s);
    return s.value();
  }
  const lb_backend& record(const Snapshot& s, const BackendKey& key) {
    return s.backends.at(net::raw(ids.backend(key)));
  }
};

bool is_named(const Snapshot& s, net::BackendId id) {
  const auto slots = s.table_of(s.services[0]);
  return std::ranges::find(slots, net::raw(id)) != slots.end();
}

TEST(OverlaySnapshot, ADrainedBackendServesAndGetsNothingNew) {
  Compiled c{.config = kBoth, .overlay = {}, .ids = {}, .topology = {}};
  const auto before = c.run();
  c.overlay.drained[{"fe", "b"}] = {.uid = 0, .login_uid = {}, .reason = "disk", .since = 1, .expires = 0};
  const auto s = c.run();
  EXPECT_FALSE(is_named(*s, c.ids.backend(kB)));
  EXPECT_EQ(c.record(*s, kB).flags, LB_BACKEND_SERVING | LB_BACKEND_RESOLVED | LB_BACKEND_ON_LINK);
  EXPECT_EQ(s->backend_states[1].why_not_ipip, "drained: disk");
  EXPECT_TRUE(s->backend_states[1].drained);
  EXPECT_EQ(s->configured, before->configured) << "a drain is no configuration";
  EXPECT_NE(s->live, before->live);
}

TEST(OverlaySnapshot, ALeavingBackendKeepsItsNumberAndItsPool) {
  Compiled c{.config = kBoth, .overlay = {}, .ids = {}, .topology = {}};
  c.run();
  const net::BackendId b = c.ids.backend(kB);
  c.config = kOnlyA;
  c.overlay = carry({}, kBoth, kOnlyA, 1);
  const auto s = c.run();
  EXPECT_EQ(c.ids.backend(kB), b);
  EXPECT_FALSE(is_named(*s, b));
  EXPECT_EQ(c.record(*s, kB).flags, LB_BACKEND_SERVING | LB_BACKEND_RESOLVED | LB_BACKEND_ON_LINK);
  EXPECT_EQ(c.record(*s, kB).pool, s->services[0].pool);
  ASSERT_EQ(s->leaving_states.size(), 1u);
  EXPECT_EQ(s->leaving_states[0].id, b);
  // Nobody but a leaving one: the pool still has its number.
  Config empty = kOnlyA;
  empty.pools["fe"].backends.clear();
  c.overlay = carry(c.overlay, kOnlyA, empty, 2);
  c.config = empty;
  const auto none = c.run();
  EXPECT_EQ(c.record(*none, kA).pool, none->services[0].pool);
  EXPECT_NE(none->services[0].pool, 0);
  // And back again.
  c.overlay = carry(c.overlay, empty, kBoth, 3);
  c.config = kBoth;
  const auto back = c.run();
  EXPECT_EQ(c.ids.backend(kB), b);
  EXPECT_TRUE(is_named(*back, b));
}

TEST(OverlaySnapshot, TheFormerPoolHasItsNumberInTheService) {
  Compiled c{.config = kBoth, .overlay = {}, .ids = {}, .topology = {}};
  c.config.pools["new"] = {.name = "new", .backends = {{.name = "n", .address = addr("10.0.1.1"), .labels = {}}}};
  c.config.services["web"].pool = "new";
  c.overlay = carry({}, kBoth, c.config, 1);
  const auto s = c.run();
  EXPECT_EQ(s->services[0].former_pool, c.record(*s, kA).pool);
  EXPECT_EQ(s->services[0].pool, c.record(*s, {"new", "n", addr("10.0.1.1")}).pool);
  EXPECT_NE(s->services[0].pool, s->services[0].former_pool);
}

TEST(IdDirectory, ANumberOutlivesTheProcess) {
  std::vector<uint64_t> words(LB_MAX_BACKENDS + 1);
  words[7] = digest_of(kB);
  words[9] = 4711;  // nobody's that we know
  IdTable ids;
  ids.keep_directory(words);
  ASSERT_TRUE(ids.assign(kBoth));
  EXPECT_EQ(net::raw(ids.backend(kB)), 7);
  EXPECT_EQ(net::raw(ids.backend(kA)), 10) << "beyond all that entries may name";
  EXPECT_EQ(ids.reserved().size(), 1u);
}

TEST(IdDirectory, AFreedNumberIsReservedUntilReleased) {
  IdTable ids;
  ids.keep_directory({});
  ASSERT_TRUE(ids.assign(kBoth));
  const net::BackendId b = ids.backend(kB);
  ASSERT_TRUE(ids.assign(kOnlyA));
  ASSERT_EQ(ids.reserved().count(digest_of(kB)), 1u);
  ASSERT_TRUE(ids.assign(kBoth));
  EXPECT_EQ(ids.backend(kB), b) << "the same backend gets the same number";
  ASSERT_TRUE(ids.assign(kOnlyA));
  ids.release(b);
  EXPECT_TRUE(ids.reserved().empty());
}

TEST(IdDirectory, NumbersThatFlowsNameAreNotGivenAway) {
  std::vector<uint64_t> words(LB_MAX_BACKENDS + 1);
  for (size_t id = 1; id < words.size(); id++) words[id] = id;
  words[500] = 0;
  IdTable ids;
  ids.keep_directory(words);
  ASSERT_TRUE(ids.assign(kOnlyA));
  EXPECT_EQ(net::raw(ids.backend(kA)), 500);
  const auto refused = ids.assign(kBoth);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "2 backends and 65534 former ones that flows may still name are more than the 65535 that a node can "
            "number: remove some, or wait until the former ones have no flows");
  ids.release(net::BackendId{3});
  ASSERT_TRUE(ids.assign(kBoth));
  EXPECT_EQ(net::raw(ids.backend(kB)), 3);
}

TEST(IdDirectory, DigestsDependOnEveryPart) {
  EXPECT_NE(digest_of(kA), digest_of(kB));
  EXPECT_NE(digest_of({"fe", "ab", kA.address}), digest_of({"fea", "b", kA.address}));
  // Frozen: a directory outlives the process, and its release.
  EXPECT_EQ(digest_of(kA), 13608701082883285161u);
}

}  // namespace
}  // namespace lb::model
