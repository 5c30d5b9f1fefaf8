// Addresses and routes of a real interface, given to another one: in a network namespace of the test's own. The NIC is
// a TAP, since what counts here is what the kernel tells and takes.
#include "ctl/nic_netlink.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "ctl/netlink_socket.h"
#include "ctl/nic_host.h"
#include "ctl/nic_move.h"

namespace lb::ctl {
namespace {

bool run(const std::string& command) {
  return std::system((command + " 2>/dev/null").c_str()) == 0;
}

std::string output(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  for (int c; (c = fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  pclose(pipe);
  return text;
}

class NicNetlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/net/tun";
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "network namespaces cannot be made here";
    ASSERT_TRUE(run("ip link set lo up"));
    ASSERT_TRUE(run("ip tuntap add nic0 mode tap"));
    ASSERT_TRUE(run("ip link set nic0 address 02:00:00:00:00:99 mtu 1400 up"));
    for (const char* address :
         {"203.0.113.2/24", "203.0.113.3/24 label nic0:x", "10.1.0.1 peer 10.1.0.2/32",
          "10.10.0.1/24 valid_lft 1000 preferred_lft 500", "2001:db8:1::2/64 nodad", "fe80::77/64 nodad"})
      ASSERT_TRUE(run(std::string("ip address add dev nic0 ") + address)) << address;
    for (const char* route :
         {"route add 198.51.100.0/24 dev nic0", "route add default via 203.0.113.1 metric 50",
          "route add 192.0.2.0/24 via 203.0.113.1 src 203.0.113.3 mtu 1300 table 100",
          "route add 192.0.2.128/25 via 10.77.0.1 dev nic0 onlink", "-6 route add 2001:db8:2::/64 via 2001:db8:1::1",
          "-6 route add default via fe80::1 dev nic0 metric 77", "route add 172.16.0.0/16 dev nic0 proto bgp",
          "route add 172.17.0.0/16 nexthop via 203.0.113.1 weight 2 nexthop via 203.0.113.4"})
      ASSERT_TRUE(run(std::string("ip ") + route)) << route;
  }
  static InterfaceState state(const std::string& name) {
    auto read = read_interface(name);
    EXPECT_TRUE(read) << read.error().message;
    return read ? *read : InterfaceState();
  }
  static std::vector<std::string> texts(std::vector<Carried> items) {
    std::vector<std::string> out;
    for (const Carried& item : items) out.push_back(item.text);
    std::sort(out.begin(), out.end());
    return out;
  }
  static void furnish(const std::string& name, const InterfaceState& had) {
    const auto set = change_link(name, had.mac, had.mtu, had.up);
    EXPECT_TRUE(set) << set.error().message;
    for (const Carried& address : had.addresses) {
      const auto given = give_address(name, address);
      EXPECT_TRUE(given) << given.error().message;
    }
    for (const Carried& route : had.routes) {
      const auto given = give_route(name, route);
      EXPECT_TRUE(given) << given.error().message;
    }
  }
  LinuxHost host_;
};

TEST_F(NicNetlinkTest, ReadsWhatAnInterfaceHas) {
  const InterfaceState had = state("nic0");
  EXPECT_EQ(had.mac.to_string(), "02:00:00:00:00:99");
  EXPECT_EQ(had.mtu, 1400u);
  EXPECT_TRUE(had.up);
  EXPECT_EQ(texts(had.addresses),
            (std::vector<std::string>{"10.1.0.1 peer 10.1.0.2/32", "10.10.0.1/24", "2001:db8:1::2/64", "203.0.113.2/24",
                                      "203.0.113.3/24", "fe80::77/64"}));
  EXPECT_EQ(texts(had.routes),
            (std::vector<std::string>{"172.17.0.0/16 nexthop via 203.0.113.1 weight 2 nexthop via 203.0.113.4 weight 1",
                                      "192.0.2.0/24 via 203.0.113.1 src 203.0.113.3 table 100",
                                      "192.0.2.128/25 via 10.77.0.1", "198.51.100.0/24",
                                      "2001:db8:2::/64 via 2001:db8:1::1 metric 1024",
                                      "default (IPv6) via fe80::1 metric 77", "default via 203.0.113.1 metric 50"}));
  EXPECT_EQ(had.default_route, "default via 203.0.113.1 metric 50");
  EXPECT_EQ(had.notes.size(), 2u) << "an address with a lifetime, and a route of a daemon";
  EXPECT_TRUE(had.mixed.empty());
}

TEST_F(NicNetlinkTest, ATwinGetsAllOfItAndTheNicGetsItBack) {
  const InterfaceState had = state("nic0");
  const std::string addresses = output("ip -o address show dev nic0 | sed 's/^[0-9]*: //; s/[0-9]*sec/S/g' | sort");
  const std::string routes =
      output("(ip route show dev nic0 table all; ip -6 route show dev nic0 table all) | grep -v bgp | sort");
  ASSERT_TRUE(run("ip link delete nic0"));
  ASSERT_TRUE(host_.make_twin("lbd-nic0"));
  furnish("lbd-nic0", had);
  furnish("lbd-nic0", had);  // right to repeat
  const InterfaceState twin = state("lbd-nic0");
  EXPECT_EQ(twin.mac, had.mac);
  EXPECT_EQ(twin.mtu, had.mtu);
  EXPECT_EQ(texts(twin.addresses), texts(had.addresses));
  EXPECT_NE(output("ip address show dev lbd-nic0").find("scope global secondary lbd-nic0:x"), std::string::npos);
  EXPECT_EQ(texts(twin.routes), texts(had.routes));

  const auto removed = host_.remove_twin("lbd-nic0");
  ASSERT_TRUE(removed) << removed.error().message;
  ASSERT_TRUE(run("ip tuntap add nic7 mode tap"));
  ASSERT_TRUE(host_.rename("nic7", "nic0"));
  furnish("nic0", twin);
  EXPECT_EQ(output("ip -o address show dev nic0 | sed 's/^[0-9]*: //; s/[0-9]*sec/S/g' | sort"), addresses);
  EXPECT_EQ(output("(ip route show dev nic0 table all; ip -6 route show dev nic0 table all) | grep -v bgp | sort"),
            routes);
}

// As NetworkManager does it: addresses without their routes, and the routes by itself.
TEST_F(NicNetlinkTest, RoutesThatStandForAnAddressGoWithIt) {
  ASSERT_TRUE(run("ip tuntap add nm0 mode tap && ip link set nm0 up"));
  for (const char* words :
       {"address add dev nm0 10.9.0.1/24 noprefixroute", "-6 address add dev nm0 2001:db8:9::2/64 noprefixroute nodad",
        "route add 10.9.0.0/24 dev nm0 proto kernel scope link src 10.9.0.1 metric 100",
        "-6 route add 2001:db8:9::/64 dev nm0 proto kernel metric 100", "route add 10.99.0.0/16 via 10.9.0.254"})
    ASSERT_TRUE(run(std::string("ip ") + words)) << words;
  const InterfaceState had = state("nm0");
  for (const char* route : {"10.9.0.0/24 src 10.9.0.1 metric 100", "2001:db8:9::/64 metric 100"}) {
    const auto all = texts(had.routes);
    EXPECT_TRUE(std::count(all.begin(), all.end(), route)) << route;
  }
  EXPECT_EQ(had.routes.back().text, "10.99.0.0/16 via 10.9.0.254");
  const std::string show = "(ip route show dev $; ip -6 route show dev $) | grep -v fe80 | sort";
  const auto routes_of = [&](const std::string& name) {
    std::string command = show;
    for (size_t at; (at = command.find('$')) != std::string::npos;) command.replace(at, 1, name);
    return output(command);
  };
  const std::string routes = routes_of("nm0");
  ASSERT_TRUE(run("ip link delete nm0"));
  ASSERT_TRUE(host_.make_twin("lbd-nm0"));
  furnish("lbd-nm0", had);
  furnish("lbd-nm0", had);
  EXPECT_EQ(routes_of("lbd-nm0"), routes);
}

TEST_F(NicNetlinkTest, ARouteOverTwoInterfacesIsMixed) {
  ASSERT_TRUE(run("ip tuntap add other mode tap && ip link set other up && ip address add 10.3.0.1/24 dev other"));
  ASSERT_TRUE(run("ip route add 172.18.0.0/16 nexthop via 203.0.113.1 nexthop via 10.3.0.2"));
  const InterfaceState had = state("nic0");
  ASSERT_EQ(had.mixed.size(), 1u);
  EXPECT_TRUE(had.mixed[0].starts_with("172.18.0.0/16 nexthop")) << had.mixed[0];
}

TEST_F(NicNetlinkTest, OnlyATapIsRemovedAsATwin) {
  ASSERT_TRUE(run("ip link add v0 type veth peer name v1"));
  const auto removed = host_.remove_twin("v0");
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, net::Code::kConflict);
  EXPECT_TRUE(read_interface("v0"));
  EXPECT_EQ(read_interface("nosuch").error().code, net::Code::kNotFound);
  EXPECT_EQ(host_.remove_twin("nosuch").error().code, net::Code::kNotFound);
}

TEST_F(NicNetlinkTest, TheWayToAnAddress) {
  EXPECT_EQ(interface_towards(net::Address::parse("203.0.113.77").value()).value(), "nic0");
  EXPECT_EQ(interface_towards(net::Address::parse("8.8.8.8").value()).value(), "nic0");
  EXPECT_EQ(interface_towards(net::Address::parse("127.0.0.1").value()).value(), "lo");
  EXPECT_EQ(interface_towards(net::Address::parse("2001:db8:2::1").value()).value(), "nic0");
  ASSERT_TRUE(run("ip route del default"));
  EXPECT_EQ(interface_towards(net::Address::parse("8.8.8.8").value()).value(), std::nullopt);
}

TEST_F(NicNetlinkTest, TheInterfaceOfAnAddressAndTheWayFromIt) {
  const auto parse = [](const char* text) { return net::Address::parse(text).value(); };
  EXPECT_EQ(interface_with(parse("203.0.113.3")).value(), "nic0");
  EXPECT_EQ(interface_with(parse("10.1.0.1")).value(), "nic0");
  EXPECT_EQ(interface_with(parse("10.1.0.2")).value(), std::nullopt) << "the peer's";
  EXPECT_EQ(interface_with(parse("2001:db8:1::2")).value(), "nic0");
  EXPECT_EQ(interface_with(parse("203.0.113.77")).value(), std::nullopt);
  ASSERT_TRUE(run("ip tuntap add other mode tap && ip link set other up && ip address add 10.3.0.1/24 dev other"));
  ASSERT_TRUE(run("ip route add default via 10.3.0.2 table 77 && ip rule add from 10.3.0.1 lookup 77"));
  EXPECT_EQ(interface_towards(parse("8.8.8.8")).value(), "nic0");
  EXPECT_EQ(interface_towards(parse("8.8.8.8"), parse("10.3.0.1")).value(), "other") << "policy routing by the source";
}

// A dump of several parts, with a change after the first of them in each of the first `changes` tries.
net::Status read_with_changes(int changes, std::vector<int>& indexes) {
  auto socket = NetlinkSocket::open(NetlinkSocket::Mode::kWait);
  if (!socket) return socket.error();
  bool first = false;
  return socket->dump_whole(
      RTM_GETLINK, AF_UNSPEC,
      [&] {
        indexes.clear();
        first = true;
      },
      [&](const nlmsghdr& message) {
        if (first && changes > 0) {
          EXPECT_TRUE(run(fmt::format("ip link add change{} type veth", changes--)));
        }
        first = false;
        indexes.push_back(static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message))->ifi_index);
      });
}

TEST_F(NicNetlinkTest, WhatChangesWhileItIsReadIsReadAgainOrRefused) {
  std::string many;
  for (int i = 0; i < 100; i++) many += fmt::format("link add many{} type veth\n", i);
  ASSERT_TRUE(run("printf '" + many + "' | ip -batch -"));
  std::vector<int> indexes;
  const auto once = read_with_changes(2, indexes);
  ASSERT_TRUE(once) << once.error().message;
  EXPECT_EQ(indexes.size(), 2u + 2 * 102) << "lo, nic0, the many and two more pairs; each once";
  const auto always = read_with_changes(100, indexes);
  ASSERT_FALSE(always);
  EXPECT_EQ(always.error().code, net::Code::kUnavailable);
  EXPECT_NE(always.error().message.find("interfaces changed each of 10 times"), std::string::npos)
      << always.error().message;
}

TEST_F(NicNetlinkTest, WhatTheKernelRefusesIsASentence) {
  Carried route = state("nic0").routes.back();
  ASSERT_TRUE(run("ip link set nic0 down"));
  const auto given = give_route("nic0", route);
  ASSERT_FALSE(given);
  EXPECT_NE(given.error().message.find("ip route add " + route.text + " dev nic0: "), std::string::npos)
      << given.error().message;
}

}  // namespace
}  // namespace lb::ctl
