// RSS as a device is asked for it. net_null takes every setting and tells what it was given.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include <rte_ethdev.h>

#include "tests/unit/dpdk/engine_world.h"

namespace lb::dpdk {
namespace {

using testing::must;
using testing::test_eal;

TEST(Rss, IsOverAddressesAndPortsWithTheNodesKey) {
  Eal& eal = test_eal();
  const Buffers buffers = must(Buffers::create("rss", 4095, kBufferRoom));
  const DispatchKeys keys = DispatchKeys::make(), others = DispatchKeys::make();
  EXPECT_NE(keys.rss, others.rss);
  EXPECT_NE(keys.spread, others.spread);
  const auto device = must(Device::open(
      {.name = "net_null7", .arguments = {}, .workers = 4, .pool = buffers.pool(), .rss_key = keys.rss}, eal));
  EXPECT_EQ(device->rx_queues(), 4);
  EXPECT_EQ(device->why_no_rss(), "");
  EXPECT_TRUE(device->keeps_flows());
  std::array<uint8_t, 40> key{};
  rte_eth_rss_conf conf = {key.data(), key.size(), 0};
  ASSERT_EQ(rte_eth_dev_rss_hash_conf_get(device->id(), &conf), 0);
  EXPECT_TRUE(std::equal(key.begin(), key.end(), keys.rss.begin()));
  for (const uint64_t type : {RTE_ETH_RSS_NONFRAG_IPV4_TCP, RTE_ETH_RSS_NONFRAG_IPV4_UDP, RTE_ETH_RSS_NONFRAG_IPV6_TCP,
                              RTE_ETH_RSS_NONFRAG_IPV6_UDP})
    EXPECT_NE(conf.rss_hf & type, 0u) << type;
}

// net_null begins with everything on queue 0.
TEST(Rss, TheTableIsEvenOverTheQueuesInUse) {
  Eal& eal = test_eal();
  const Buffers buffers = must(Buffers::create("rss_table", 4095, kBufferRoom));
  const DispatchKeys keys = DispatchKeys::make();
  const auto device = must(Device::open(
      {.name = "net_null6", .arguments = {}, .workers = 3, .pool = buffers.pool(), .rss_key = keys.rss}, eal));
  rte_eth_dev_info info = {};
  ASSERT_EQ(rte_eth_dev_info_get(device->id(), &info), 0);
  ASSERT_GE(info.reta_size, 64);
  std::vector<rte_eth_rss_reta_entry64> table(info.reta_size / 64);
  for (auto& group : table) group.mask = ~0ull;
  ASSERT_EQ(rte_eth_dev_rss_reta_query(device->id(), table.data(), info.reta_size), 0);
  std::array<uint32_t, 3> share{};
  for (const auto& group : table)
    for (const uint16_t queue : group.reta) share.at(queue)++;
  for (const uint32_t n : share) EXPECT_NEAR(n, info.reta_size / 3.0, 1);
}

TEST(Rss, AKeyTooShortForTheDeviceMeansDispatchInSoftware) {
  Eal& eal = test_eal();
  const Buffers buffers = must(Buffers::create("rss_short", 4095, kBufferRoom));
  const std::array<uint8_t, 16> key{};
  const auto device = must(
      Device::open({.name = "net_null8", .arguments = {}, .workers = 2, .pool = buffers.pool(), .rss_key = key}, eal));
  EXPECT_EQ(device->rx_queues(), 2);
  EXPECT_FALSE(device->keeps_flows());
  EXPECT_EQ(device->why_no_rss(), "its RSS key is longer than any known");
}

TEST(Rss, PortsOfDevicesWithRssAreNotDispatchedInSoftware) {
  model::Daemon daemon;
  daemon.workers = {0, 1};
  daemon.ports = {{.name = "wan", .device = "net_null9", .mtu = {}}};
  testing::NoFilters filters;
  std::string log;
  const auto engine = must(DpdkEngine::start(daemon, test_eal(), filters, [&](std::string_view l) { log += l; }));
  EXPECT_EQ(log, "");
  EXPECT_EQ(engine->ports()[0].queues, 2);
}

}  // namespace
}  // namespace lb::dpdk
