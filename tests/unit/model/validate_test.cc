#include "dataplane/model/validate.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "dataplane/model/maglev.h"
#include "dataplane/net/abi.h"

namespace lb::model {
namespace {

Address address(std::string_view text) {
  return *net::Address::parse(text);
}
Listener listener(std::string_view text) {
  return *net::Listener::parse(text);
}

class Validate : public testing::Test {
 protected:
  Validate() {
    pool("fe", {{"fe11", address("10.0.0.11"), 100, {}}, {"fe12", address("10.0.0.12"), 50, {}}});
    service("web", {"192.0.2.10:80/tcp"});
    config_.daemon.workers = {2, 3};
    config_.daemon.ports = {{"wan", "eth1", {}}, {"lan", "net_ring0", 1500}};
  }
  void pool(const std::string& name, std::vector<Backend> backends) { config_.pools[name] = {name, backends}; }
  Service& service(const std::string& name, const std::vector<std::string>& listen) {
    Service& s = config_.services[name];
    s.name = name;
    s.pool = "fe";
    s.listen.clear();
    for (const std::string& text : listen) s.listen.push_back(listener(text));
    return s;
  }
  Backend& backend(size_t i) { return config_.pools["fe"].backends[i]; }
  std::string told() const {
    std::string out;
    for (const Violation& v : validate(config_)) out += v.path + ": " + v.message + "\n";
    return out;
  }
  void expect(const std::string& path, const std::string& sentence) {
    const auto found = validate(config_);
    ASSERT_EQ(found.size(), 1u) << told();
    EXPECT_EQ(found[0].path, path);
    EXPECT_NE(found[0].message.find(sentence), std::string::npos) << found[0].message;
  }
  Config config_;
};

TEST_F(Validate, TakesAGoodOne) {
  EXPECT_EQ(told(), "");
}

TEST_F(Validate, RefusesBadNames) {
  for (const char* name : {"", "Fe", "-a", ".a", "a b", "\xc3\xbc", "a/b"}) {
    backend(0).name = name;
    expect("pools.fe.backends[0].name", "must be 1 to 63 of a-z 0-9 . _ - and start with a letter or digit");
  }
  backend(0).name = std::string(64, 'a');
  expect("pools.fe.backends[0].name", "must be 1 to 63");
  backend(0).name = std::string(63, 'a');
  EXPECT_EQ(told(), "");
}

TEST_F(Validate, RefusesNamesThatStandTwice) {
  backend(1).name = "fe11";
  expect("pools.fe.backends[1].name", "pool fe has a backend 'fe11' already (backends[0])");
}

TEST_F(Validate, RefusesAddressesThatNoBackendCanHave) {
  for (const char* text : {"0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1", "ff02::1", "255.255.255.255", "fe80::1"}) {
    backend(0).address = address(text);
    const auto found = validate(config_);
    ASSERT_FALSE(found.empty()) << text;
    EXPECT_EQ(found[0].path, "pools.fe.backends[0].address") << text;
  }
}

TEST_F(Validate, RefusesAnAddressTwiceInAPool) {
  backend(1).address = backend(0).address;
  expect("pools.fe.backends[1].address", "10.0.0.11 is the address of backend 'fe11' already");
}

TEST_F(Validate, AllowsAnAddressInTwoPools) {
  pool("be", {backend(0)});
  EXPECT_EQ(told(), "");
}

TEST_F(Validate, RefusesAListenersAddressAsBackend) {
  backend(0).address = address("192.0.2.10");
  expect("pools.fe.backends[0].address", "192.0.2.10 is where service web listens (192.0.2.10:80/tcp)");
}

TEST_F(Validate, RefusesWeightsAboveTheLimit) {
  backend(0).weight = 1001;
  expect("pools.fe.backends[0].weight", "weight 1001 is out of range: it must be 0 to 1000");
  backend(0).weight = 1000;
  EXPECT_EQ(told(), "");
}

TEST_F(Validate, RefusesBadLabels) {
  backend(0).labels = {{"rack", ""}};
  expect("pools.fe.backends[0].labels.rack", "must be 1 to 253 bytes of printable text");
  backend(0).labels = {{"rack", "a\nb"}};
  expect("pools.fe.backends[0].labels.rack", "'a\\x0ab' must be");
  backend(0).labels = {{"rack", std::string(254, 'x')}};
  expect("pools.fe.backends[0].labels.rack", "must be 1 to 253");
  backend(0).labels = {{"Rack", "x"}};
  expect("pools.fe.backends[0].labels.Rack", "label name 'Rack' must be");
  backend(0).labels = {{"rack", "Z\u00fcrich 1"}};
  EXPECT_EQ(told(), "");
}

TEST_F(Validate, RefusesTooManyBackends) {
  std::vector<Backend> many;
  for (uint32_t i = 0; i < LB_MAX_BACKENDS - 1; ++i)
    many.push_back(
        {fmt::format("b{}", i), address(fmt::format("10.{}.{}.{}", 1 + i / 65536, i / 256 % 256, i % 256)), 1, {}});
  pool("many", many);
  expect("pools", "65,536 backends in all pools; a node has ids for 65,535: remove 1");
  config_.pools["many"].backends.pop_back();
  EXPECT_EQ(told(), "");
}

TEST_F(Validate, RefusesTooManyServices) {
  for (uint32_t i = 0; i < LB_MAX_SERVICES; ++i)
    service(fmt::format("s{}", i), {fmt::format("198.51.{}.{}:80/tcp", 100 + i / 256, i % 256)});
  expect("services", "16,385 services; a node has room for 16,384: remove 1");
}

TEST_F(Validate, RefusesUnknownPools) {
  config_.services["web"].pool = "fo";
  expect("services.web.pool", "there is no pool 'fo'; did you mean fe?");
  EXPECT_EQ(validate(config_)[0].missing_pool, "fo");
  config_.services["web"].pool = "something";
  expect("services.web.pool", "there is no pool 'something'; there are: fe");
  config_.pools.clear();
  expect("services.web.pool", "there are no pools");
}

TEST_F(Validate, RefusesListenersOfTheSameKindThatOverlap) {
  service("a", {"192.0.2.1:80/tcp", "192.0.2.1:100-200/tcp", "192.0.2.1:*/tcp"});
  service("b",
          {"192.0.2.1:81/tcp", "192.0.2.1:80/udp", "192.0.2.2:80/tcp", "192.0.2.1:201-300/tcp", "192.0.2.1:*/udp"});
  EXPECT_EQ(told(), "");
  service("b", {"192.0.2.1:80/tcp"});
  expect("services.b.listen[0]", "192.0.2.1:80/tcp overlaps 192.0.2.1:80/tcp of service a");
  service("b", {"192.0.2.9:80/tcp", "192.0.2.1:200-300/tcp"});
  expect("services.b.listen[1]", "192.0.2.1:200-300/tcp overlaps 192.0.2.1:100-200/tcp of service a");
  service("b", {"192.0.2.1:*/tcp"});
  expect("services.b.listen[0]", "192.0.2.1:*/tcp overlaps 192.0.2.1:*/tcp of service a");
  service("b", {"[2001:db8::1]:80/tcp", "[2001:db8::1]:80/tcp"});
  expect("services.b.listen[1]", "overlaps [2001:db8::1]:80/tcp of listen[0] of the same service");
}

TEST_F(Validate, FindsEveryListenerThatOverlapsAWideRange) {
  service("a", {"192.0.2.1:100-900/tcp"});
  service("b", {"192.0.2.1:200-210/tcp", "192.0.2.1:300-310/tcp", "192.0.2.1:901-902/tcp"});
  EXPECT_EQ(validate(config_).size(), 2u) << told();
}

// The sweep agrees with comparing every pair: a listener is told if and only if an earlier one overlaps it.
TEST_F(Validate, OverlapsAgreeWithEveryPair) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const auto below = [&](uint32_t n) { return std::uniform_int_distribution<uint32_t>(0, n - 1)(random); };
  for (int round = 0; round < 300; ++round) {
    config_.services.clear();
    std::vector<Listener> all;
    Service& s = service("s", {});
    for (int i = 0; i < 12; ++i) {
      const auto first = static_cast<uint16_t>(1 + below(40)), last = static_cast<uint16_t>(first + below(6));
      s.listen.push_back({address(below(2) != 0 ? "192.0.2.1" : "2001:db8::1"), first, last,
                          below(2) != 0 ? net::IpProto::kTcp : net::IpProto::kUdp});
    }
    bool any = false;
    for (size_t i = 0; i < s.listen.size(); ++i)
      for (size_t j = 0; j < i; ++j) {
        const Listener &a = s.listen[i], &b = s.listen[j];
        any |= a.address == b.address && a.proto == b.proto && a.is_exact() == b.is_exact() && a.first <= b.last &&
               b.first <= a.last;
      }
    ASSERT_EQ(!validate_services(config_).empty(), any) << told();
  }
}

TEST_F(Validate, RefusesListenersThatNoClientReaches) {
  for (const char* text : {"127.0.0.1:80/tcp", "224.0.0.1:80/tcp", "0.0.0.0:80/tcp", "[ff02::1]:80/tcp"}) {
    service("web", {});
    const auto parsed = net::Listener::parse(text);
    if (!parsed) continue;  // refused earlier
    config_.services["web"].listen = {*parsed};
    expect("services.web.listen[0]", "clients cannot send to it");
  }
  config_.services["web"].listen = {{address("192.0.2.1"), 5, 4, net::IpProto::kTcp}};
  expect("services.web.listen[0]", "ports 5-4 must be 1 to 65535");
  config_.services["web"].listen = {{address("192.0.2.1"), 0, 0, net::IpProto::kTcp}};
  expect("services.web.listen[0]", "ports 0-0 must be");
  config_.services["web"].listen = {{address("192.0.2.1"), 5, 5, net::IpProto::kIcmp}};
  expect("services.web.listen[0]", "protocol icmp must be tcp or udp");
}

TEST_F(Validate, RefusesTableSizesThatAreNoPrimeInRange) {
  for (const uint32_t size : {0u, 1u, 250u, 655374u, 4294967291u}) {
    config_.services["web"].table_size = size;
    expect("services.web.table-size", "it must be a prime from 251 to 655373");
  }
  config_.services["web"].table_size = 252;
  expect("services.web.table-size", "table-size 252 is no prime, so backends would miss slots: write 251 or 257");
  for (const uint32_t size : {251u, 65537u, 655373u}) {
    config_.services["web"].table_size = size;
    EXPECT_EQ(told(), "");
  }
}

TEST_F(Validate, RefusesATableInWhichABackendHasNoSlot) {
  backend(0).weight = 1000;
  backend(1).weight = 1;
  EXPECT_EQ(told(), "");
  config_.services["web"].table_size = 251;
  expect("services.web.table-size",
         "251 slots are too few for pool fe: backend fe12 (weight 1 of 1,001) would get none; "
         "raise table-size to at least ");
}

// The size that the sentence names is enough, and the prime before it is not.
TEST_F(Validate, NamesTheSmallestTableThatFits) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  int refused = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<Backend> backends;
    std::vector<MaglevBackend> entries;
    const auto below = [&](uint32_t n) { return std::uniform_int_distribution<uint32_t>(0, n - 1)(random); };
    const uint32_t count = 2 + below(30);
    for (uint32_t i = 0; i < count; ++i) {
      backends.push_back(
          {fmt::format("b{}", i), address(fmt::format("10.0.0.{}", i + 1)), 1 + below(i == 0 ? 20 : 1000), {}});
      entries.push_back({.address = backends[i].address, .weight = backends[i].weight});
    }
    pool("fe", backends);
    config_.services["web"].table_size = 251;
    const auto found = validate_services(config_);
    ASSERT_EQ(found.empty(), min_slots(entries, 251) > 0);
    if (found.empty()) continue;
    ++refused;
    const std::string& m = found[0].message;
    const std::string marker = "at least ";
    ASSERT_NE(m.find(marker), std::string::npos) << m;
    const auto size = static_cast<uint32_t>(std::stoul(m.substr(m.find(marker) + marker.size())));
    EXPECT_TRUE(is_prime(size));
    EXPECT_GT(min_slots(entries, size), 0u) << m;
    uint32_t before = size - 1;
    while (!is_prime(before)) --before;
    EXPECT_EQ(min_slots(entries, before), 0u) << m;
  }
  EXPECT_GT(refused, 0);
}

TEST_F(Validate, RefusesATableWithFewerSlotsThanBackends) {
  std::vector<Backend> many;
  for (uint32_t i = 0; i < 300; ++i)
    many.push_back({fmt::format("b{}", i), address(fmt::format("10.0.{}.{}", i / 250, 1 + i % 250)), 10, {}});
  pool("fe", many);
  config_.services["web"].table_size = 251;
  expect("services.web.table-size",
         "251 slots are too few for pool fe: it has 300 backends with weight; raise table-size "
         "to at least 307");
  for (size_t i = 0; i < 60; ++i) backend(i).weight = 0;
  EXPECT_EQ(told(), "");
}

TEST_F(Validate, RefusesDsrWithoutABackendOfTheFamily) {
  service("web", {"192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"}).forward = Forward::kDsr;
  expect("services.web.listen[1]", "forward dsr keeps the packet as it is, and pool fe has no IPv6 backend");
  backend(1).address = address("2001:db8::12");
  EXPECT_EQ(told(), "");
  config_.pools["fe"].backends.clear();
  EXPECT_EQ(told(), "");  // an empty pool drops and counts, whatever the mode
}

TEST_F(Validate, RefusesBadSourcePrefixes) {
  config_.services["web"].prefix4 = 33;
  expect("services.web.source-prefix", "IPv4 prefix length 33 must be 1 to 32");
  config_.services["web"].prefix4 = 32;
  config_.services["web"].prefix6 = 0;
  expect("services.web.source-prefix", "IPv6 prefix length 0 must be 1 to 128");
}

TEST_F(Validate, RefusesTwoAnswersOfOneAddress) {
  service("web", {"192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"}).on_no_listener = NoListener::kReject;
  service("dns", {"192.0.2.10:53/udp", "[2001:db8::10]:53/udp"});
  const auto found = validate_services(config_);
  ASSERT_EQ(found.size(), 2u) << "each of the two, once for all addresses that they share";
  EXPECT_EQ(found[0].path, "services.dns.on-no-listener");
  EXPECT_EQ(found[0].message,
            "auto here, reject in service web, which listens on 192.0.2.10 too: what no listener wants there gets one "
            "answer; say the same in both, in one change (`config apply`) or in `defaults`");
  EXPECT_EQ(found[1].path, "services.web.on-no-listener");
  config_.services["dns"].on_no_listener = NoListener::kReject;
  EXPECT_EQ(told(), "");
  service("dns", {"192.0.2.11:53/udp"});
  EXPECT_EQ(told(), "");
}

// One file for a fleet of both engines: what is written must be right, only the chosen engine's section complete.
TEST_F(Validate, AsksForTheSectionOfTheChosenEngineOnly) {
  config_.daemon.interfaces = {{"eth0", XdpMode::kNative}, {"eth1.7", XdpMode::kGeneric}};
  EXPECT_TRUE(validate(config_).empty());
  config_.daemon.engine = "xdp";
  EXPECT_TRUE(validate(config_).empty());
  config_.daemon.workers.clear();
  config_.daemon.ports.clear();
  EXPECT_TRUE(validate(config_).empty());
  config_.daemon.orphan_after_s = 0;
  EXPECT_TRUE(validate(config_).empty());
  config_.daemon.interfaces.clear();
  expect("daemon.xdp.interfaces", "no interfaces: name at least one, such as {name: eth0, mode: native}");
}

TEST_F(Validate, RefusesBadInterfaces) {
  const auto bad = [&](std::vector<XdpInterface> interfaces, const std::string& path, const std::string& sentence) {
    for (const char* engine : {"xdp", "dpdk"}) {
      config_.daemon.engine = engine;
      config_.daemon.interfaces = interfaces;
      expect("daemon.xdp.interfaces" + path, sentence);
    }
  };
  bad({{"eth0", {}}, {"eth1", {}}, {"eth0", XdpMode::kGeneric}}, "[2].name",
      "'eth0' is interfaces[0] already: name each once");
  bad({{"sixteen-letters-", {}}}, "[0].name", "'sixteen-letters-' is no interface of the kernel");
  bad({{"eth0:1", {}}}, "[0].name", "a name has 1 to 15 characters, no blanks, `/` or `:`");
  bad({{"", {}}}, "[0].name", "'' is no interface");
  std::vector<XdpInterface> many;
  for (int i = 0; i < 17; ++i) many.push_back({fmt::format("e{}", i), {}});
  bad(many, "", "17 interfaces; at most 16 are possible");
}

TEST_F(Validate, RefusesABadDaemon) {
  const Daemon good = config_.daemon;
  const auto bad = [&](auto change, const std::string& path, const std::string& sentence) {
    config_.daemon = good;
    change(config_.daemon);
    expect("daemon." + path, sentence);
    EXPECT_TRUE(validate_services(config_).empty());
  };
  bad([](Daemon& d) { d.engine = "vpp"; }, "engine", "unknown engine 'vpp'; it is one of: dpdk, xdp");
  bad([](Daemon& d) { d.socket = "lbd.sock"; }, "socket", "must be an absolute path");
  bad([](Daemon& d) { d.socket = "/" + std::string(107, 'x'); }, "socket", "has 108 bytes; at most 107");
  bad([](Daemon& d) { d.state_dir = ""; }, "state-dir", "must be an absolute path");
  bad([](Daemon& d) { d.hash_key_file = "/a\nb"; }, "hash-key-file", "printable text on one line");
  bad([](Daemon& d) { d.hash_version = 2; }, "hash-version", "hash-version 2 is not known: this version computes 1");
  bad([](Daemon& d) { d.flows = 1023; }, "flows", "flows 1023 must be 0 (no tracking, hash only) or 1024 to 268435456");
  bad([](Daemon& d) { d.orphan_after_s = 604801; }, "orphan-after",
      "orphan-after 604801 s must be 0 (never) or 1 to 604800");
  bad([](Daemon& d) { d.flows = 268435457; }, "flows", "flows 268435457 must be 0");
  bad(
      [](Daemon& d) {
        for (int i = 0; i < 256; ++i) d.access.operators.push_back(fmt::format("u{}", i));
      },
      "access.operator", "257 users and groups; at most 256 are possible: name a group");
  for (const char* name : {"", "%", "a:b", "a,b", " a", "a ", "-a", "%%a", "a/b", "a\tb", "65534", "4294967295", "00"})
    bad([&](Daemon& d) { d.access.viewers = {"bob", name}; }, "access.viewer[1]", "' is ");
  bad([](Daemon& d) { d.workers.clear(); }, "dpdk.workers", "no workers: name at least one CPU core");
  bad([](Daemon& d) { d.workers = {1, 2, 1}; }, "dpdk.workers[2]", "core 1 is named twice (workers[0])");
  bad([](Daemon& d) { d.workers = {1024}; }, "dpdk.workers[0]", "core 1024 must be 0 to 1023");
  bad(
      [](Daemon& d) {
        for (uint32_t i = 10; i < 73; ++i) d.workers.push_back(i);
      },
      "dpdk.workers", "65 workers; at most 64");
  bad([](Daemon& d) { d.ports.clear(); }, "dpdk.ports", "no ports");
  bad(
      [](Daemon& d) {
        for (int i = 0; i < 15; ++i) d.ports.push_back({fmt::format("p{}", i), fmt::format("e{}", i), {}});
      },
      "dpdk.ports", "17 ports; at most 16");
  bad([](Daemon& d) { d.ports[1].name = "wan"; }, "dpdk.ports[1].name", "'wan' is the name of ports[0] already");
  bad([](Daemon& d) { d.ports[1].device = "eth1"; }, "dpdk.ports[1].device",
      "'eth1' is the device of ports[0] already");
  bad([](Daemon& d) { d.ports[0].name = "WAN"; }, "dpdk.ports[0].name", "port name 'WAN' must be");
  bad([](Daemon& d) { d.ports[0].mtu = 1279; }, "dpdk.ports[0].mtu", "mtu 1279 must be 1280 to 9000");
  bad(
      [](Daemon& d) {
        d.ports = {{"a", "0000:3b:00.0", {}}, {"b", "3B:00.0", {}}};
      },
      "dpdk.ports[1].device", "'3B:00.0' is the device of ports[0] already");
  bad(
      [](Daemon& d) {
        d.ports[0] = {"twelve-chars", "3b:00.0", {}};
      },
      "dpdk.ports[0].name",
      "the kernel gets it as lbd-twelve-chars, and an interface name has at most 15 characters; use at most 11");
  for (const char* device : {"", "a/b", "a b", "sixteen-letters-", "..", "eth1:0"})
    bad([&](Daemon& d) { d.ports[0].device = device; }, "dpdk.ports[0].device", "is no device");
}

TEST(IsPrime, KnowsSmallNumbersAndTheBounds) {
  std::vector<uint32_t> primes;
  for (uint32_t n = 0; n < 30; ++n)
    if (is_prime(n)) primes.push_back(n);
  EXPECT_EQ(primes, (std::vector<uint32_t>{2, 3, 5, 7, 11, 13, 17, 19, 23, 29}));
  for (const uint32_t n : {251u, 65537u, 655373u, 4294967291u}) EXPECT_TRUE(is_prime(n)) << n;
  for (const uint32_t n : {65536u, 655371u, 4294967295u, 66049u}) EXPECT_FALSE(is_prime(n)) << n;  // 66049 = 257 * 257
}

}  // namespace
}  // namespace lb::model
