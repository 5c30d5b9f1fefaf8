#include "xdp/port.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>

namespace lb::xdp {
namespace {

constexpr const char* kText =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
    "compressed\n"
    "    lo:       1       2    3    4    5     6          7         8       9      10   11   12   13    14      15    "
    " "
    "16\n"
    "  eth0:5000000000 22 0 7 0 0 0 0 6000000000 33 0 8 1 0 0 0\n"
    "eth0.1: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n";

TEST(XdpPort, CountsOfAnInterfaceByItsWholeName) {
  const InterfaceCounts eth0 = read_counts(kText, "eth0");
  EXPECT_EQ(eth0.rx_bytes, 5000000000u);
  EXPECT_EQ(eth0.rx_packets, 22u);
  EXPECT_EQ(eth0.rx_lost, 7u);
  EXPECT_EQ(eth0.tx_bytes, 6000000000u);
  EXPECT_EQ(eth0.tx_packets, 33u);
  EXPECT_EQ(eth0.tx_lost, 9u);
  const InterfaceCounts lo = read_counts(kText, "lo");
  EXPECT_EQ(lo.rx_lost, 4u + 5u);
  EXPECT_EQ(lo.tx_lost, 12u + 13u);
  for (const char* none : {"eth", "th0", "eth00", ""}) EXPECT_EQ(read_counts(kText, none).rx_bytes, 0u) << none;
  EXPECT_EQ(read_counts("", "eth0").rx_bytes, 0u);
  EXPECT_EQ(read_counts("eth0: 7", "eth0").rx_bytes, 7u);
}

TEST(XdpPort, FactsOfAnInterface) {
  if (geteuid() != 0) GTEST_SKIP() << "a network namespace needs root";
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  ASSERT_EQ(
      std::system("ip link add prt0 numrxqueues 3 numtxqueues 3 mtu 1400 address 02:00:00:00:00:07 type veth peer "
                  "name prt1 && ip link set prt0 up && ip link set prt1 up && ip link set lo up"),
      0);
  const auto facts = query_interface("prt0");
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->mac.to_string(), "02:00:00:00:00:07");
  EXPECT_EQ(facts->mtu, 1400);
  EXPECT_EQ(facts->queues, 3u);
  EXPECT_TRUE(facts->counts_queues);
  EXPECT_TRUE(facts->up);
  EXPECT_TRUE(facts->link_up);
  EXPECT_EQ(facts->driver, "veth");
  EXPECT_GT(facts->index, 0u);
  ASSERT_EQ(std::system("ip link set prt1 down"), 0);
  int tries = 2000;  // the kernel tells it some time later
  while (query_interface("prt0")->link_up && --tries > 0) usleep(10'000);
  EXPECT_GT(tries, 0);
  const auto lo = query_interface("lo");
  ASSERT_FALSE(lo);
  EXPECT_EQ(lo.error().message, "lo is no Ethernet interface: engine xdp forwards between Ethernet interfaces");
  const auto missing = query_interface("prt9");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, net::Code::kNotFound);
  EXPECT_NE(missing.error().message.find("'prt9'"), std::string::npos);
  ASSERT_EQ(std::system("ping -q -c 1 -W 1 127.0.0.1 >/dev/null"), 0);
  EXPECT_GT(count_interface("lo").rx_packets, 0u);
}

}  // namespace
}  // namespace lb::xdp
