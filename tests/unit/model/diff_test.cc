#include "dataplane/model/diff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "dataplane/model/config_text.h"
#include "tests/unit/model/random_config.h"

namespace lb::model {
namespace {

Config parsed(std::string_view text) {
  Parsed p = parse_config(text, "t.yaml", no_includes());
  for (const Problem& problem : p.problems) ADD_FAILURE() << problem.to_string();
  return p.config;
}

constexpr std::string_view kBefore = R"(version: 1
daemon: {dpdk: {workers: [1], ports: [{name: wan, device: eth1}]}}
pools:
  fe: {backends: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2, weight: 50}]}
  old: {}
services:
  web: {listen: [192.0.2.1:80/tcp], pool: fe}
  gone: {listen: [192.0.2.2:80/tcp], pool: old}
)";
constexpr std::string_view kAfter = R"(version: 1
daemon: {engine: xdp, flows: 0, orphan-after: never, access: {operator: [root, "%lbd"]}, xdp: {interfaces: [{name: eth1}]}, dpdk: {workers: [1, 2], idle: poll, ports: [{name: wan, device: eth1, mtu: 1500}]}}
pools:
  fe: {backends: [{name: c, address: 10.0.0.1}, {name: b, address: 10.0.0.2, weight: 100}]}
  new: {backends: [{name: n, address: 10.0.0.9}]}
services:
  web: {listen: [192.0.2.1:80/tcp, 192.0.2.2:80/tcp], pool: new}
  dns: {listen: [192.0.2.3:53/udp], pool: fe}
)";

TEST(Diff, TellsWhatChangesInAnOrderThatCanBeApplied) {
  const Diff d = diff(parsed(kBefore), parsed(kAfter));
  EXPECT_EQ(d.lines, (std::vector<std::string>{
                         "- service gone: 192.0.2.2:80/tcp",
                         "- backend fe/a: 10.0.0.1",
                         "~ backend fe/b: weight 50 -> 100",
                         "+ backend fe/c: 10.0.0.1, weight 100",
                         "+ pool new: 1 backend",
                         "+ service dns: 192.0.2.3:53/udp to pool fe, ipip, maglev",
                         "~ service web: listen 192.0.2.1:80/tcp -> 192.0.2.1:80/tcp, 192.0.2.2:80/tcp, pool fe -> new",
                         "- pool old",
                     }));
  EXPECT_EQ(d.restart,
            (std::vector<std::string>{
                "daemon.engine: dpdk -> xdp needs restart",
                "daemon.flows: 1048576 -> 0 needs restart",
                "daemon.orphan-after: 60s -> never needs restart",
                "daemon.access: operator: [root], viewer: [] -> operator: [\"%lbd\", root], viewer: [] needs "
                "restart",
                "daemon.dpdk.workers: [1] -> [1, 2] needs restart",
                "daemon.dpdk.idle: sleep -> poll needs restart",
                "daemon.dpdk.ports: [wan on eth1] -> [wan on eth1 (mtu 1500)] needs restart",
                "daemon.xdp.interfaces: [] -> [eth1 (native)] needs restart",
            }));
  EXPECT_EQ(d.services_removed, 1u);
  EXPECT_FALSE(d.empty());
}

TEST(Diff, OrderInTheDocumentIsNoChange) {
  const Config a =
      parsed("version: 1\npools: {fe: {backends: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}]}}\n");
  Config b = a;
  std::reverse(b.pools["fe"].backends.begin(), b.pools["fe"].backends.end());
  EXPECT_TRUE(diff(a, b).empty());
  EXPECT_TRUE(diff(b, a).empty());
}

TEST(Diff, ABackendOfAnotherAddressIsSet) {
  const Config a =
      parsed("version: 1\npools: {fe: {backends: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}]}}\n");
  const Config swapped =
      parsed("version: 1\npools: {fe: {backends: [{name: a, address: 10.0.0.2}, {name: b, address: 10.0.0.1}]}}\n");
  const Diff d = diff(a, swapped);
  ASSERT_EQ(d.lines.size(), 2u);
  EXPECT_EQ(d.lines[0], "~ backend fe/a: address 10.0.0.1 -> 10.0.0.2");
  EXPECT_EQ(*model::apply(a, d.changes), swapped);
}

TEST(Diff, AppliedToTheOneGivesTheOther) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  RandomConfig random(seed);
  Config from = random.make();
  for (int i = 0; i < 1000; ++i) {
    Config to = random.make();
    const Diff d = diff(from, to);
    ASSERT_EQ(d.lines.size(), d.changes.size());
    for (const std::string& line : d.lines) ASSERT_EQ(line.find("nothing changes"), std::string::npos) << line;
    ASSERT_EQ(d.restart.empty(), from.daemon == to.daemon);
    auto result = model::apply(from, d.changes);
    ASSERT_TRUE(result) << result.error().message << "\n" << print_config(from) << print_config(to);
    result->daemon = to.daemon;
    ASSERT_EQ(*result, to) << print_config(from) << print_config(to);
    ASSERT_TRUE(diff(*result, to).empty());
    from = std::move(to);
  }
}

}  // namespace
}  // namespace lb::model
