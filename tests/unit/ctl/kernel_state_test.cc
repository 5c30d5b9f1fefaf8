#include "ctl/kernel_state.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace lb::ctl {
namespace {

net::Address address(const char* text) {
  return net::Address::parse(text).value();
}

// A message as the kernel sends it.
class Message {
 public:
  template <class Body>
  Message(uint16_t type, const Body& body) {
    mnl_nlmsg_put_header(buffer_.data())->nlmsg_type = type;
    std::memcpy(mnl_nlmsg_put_extra_header(header(), sizeof body), &body, sizeof body);
  }
  Message& put(uint16_t type, const net::Address& a) {
    if (a.is_ipv4()) {
      mnl_attr_put(header(), type, 4, a.ipv4_bytes());
    } else {
      mnl_attr_put(header(), type, 16, a.bytes().data());
    }
    return *this;
  }
  Message& put(uint16_t type, const net::Mac& mac) {
    mnl_attr_put(header(), type, mac.bytes.size(), mac.bytes.data());
    return *this;
  }
  Message& put(uint16_t type, uint32_t value) {
    mnl_attr_put_u32(header(), type, value);
    return *this;
  }
  Message& put_text(uint16_t type, const char* text) {
    mnl_attr_put_strz(header(), type, text);
    return *this;
  }
  Message& put_mtu(uint32_t mtu) {
    nlattr* nest = mnl_attr_nest_start(header(), RTA_METRICS);
    mnl_attr_put_u32(header(), RTAX_MTU, mtu);
    mnl_attr_nest_end(header(), nest);
    return *this;
  }
  // Of an interface for a VLAN of the one with that index.
  Message& put_vlan(int below, uint16_t vlan, uint16_t protocol = ETH_P_8021Q) {
    mnl_attr_put_u32(header(), IFLA_LINK, static_cast<uint32_t>(below));
    nlattr* info = mnl_attr_nest_start(header(), IFLA_LINKINFO);
    mnl_attr_put_strz(header(), IFLA_INFO_KIND, "vlan");
    nlattr* data = mnl_attr_nest_start(header(), IFLA_INFO_DATA);
    mnl_attr_put_u16(header(), IFLA_VLAN_ID, vlan);
    mnl_attr_put_u16(header(), IFLA_VLAN_PROTOCOL, htons(protocol));
    mnl_attr_nest_end(header(), data);
    mnl_attr_nest_end(header(), info);
    return *this;
  }
  operator const nlmsghdr&() const { return *reinterpret_cast<const nlmsghdr*>(buffer_.data()); }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_.data()); }

  alignas(nlmsghdr) std::array<char, 1024> buffer_{};
};

const net::Mac kOurs = net::Mac::parse("02:00:00:00:00:01").value();
const net::Mac kTheirs = net::Mac::parse("02:00:00:00:00:02").value();

Message link(int index, const char* name, uint32_t mtu, unsigned flags = IFF_UP | IFF_RUNNING) {
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = flags;
  return Message(RTM_NEWLINK, body).put_text(IFLA_IFNAME, name).put(IFLA_ADDRESS, kOurs).put(IFLA_MTU, mtu);
}
Message own(uint16_t type, int index, const char* text, uint32_t flags = 0) {
  ifaddrmsg body{};
  body.ifa_index = static_cast<uint32_t>(index);
  return Message(type, body).put(IFA_ADDRESS, address(text)).put(IFA_FLAGS, flags);
}
Message neighbour(uint16_t type, int index, const char* text, uint16_t state) {
  ndmsg body{};
  body.ndm_family = address(text).is_ipv4() ? AF_INET : AF_INET6;
  body.ndm_ifindex = index;
  body.ndm_state = state;
  Message m(type, body);
  m.put(NDA_DST, address(text));
  if ((state & (NUD_FAILED | NUD_INCOMPLETE)) == 0) m.put(NDA_LLADDR, kTheirs);
  return m;
}
Message route(const char* destination, uint8_t length, uint8_t type, uint32_t interface) {
  rtmsg body{};
  body.rtm_family = address(destination).is_ipv4() ? AF_INET : AF_INET6;
  body.rtm_dst_len = length;
  body.rtm_type = type;
  return Message(RTM_NEWROUTE, body).put(RTA_DST, address(destination)).put(RTA_OIF, interface);
}

class ReachTest : public testing::Test {
 protected:
  ReachTest() {
    state_.apply(link(3, "lan", 1600));
    state_.apply(link(4, "mgmt", 1500));
    state_.apply(own(RTM_NEWADDR, 3, "10.0.0.1"));
  }
  model::Reach reach(const char* backend, const Message& answer, bool silent = false) {
    return make_reach(address(backend), read_route(answer), state_, ports_, silent);
  }
  KernelState state_;
  std::vector<PortLink> ports_ = {{"", net::PortId{0}, 0}, {"lan", net::PortId{1}, 1500}};
};

TEST_F(ReachTest, OnLinkWithTheSmallestMtu) {
  state_.apply(neighbour(RTM_NEWNEIGH, 3, "10.0.0.11", NUD_REACHABLE));
  const auto r = reach("10.0.0.11", route("10.0.0.11", 32, RTN_UNICAST, 3).put(RTA_PREFSRC, address("10.0.0.9")));
  ASSERT_TRUE(r.resolved) << r.why;
  EXPECT_EQ(r.port, net::PortId{1});
  EXPECT_EQ(r.next_hop, address("10.0.0.11"));
  EXPECT_TRUE(r.on_link);
  EXPECT_EQ(r.source, address("10.0.0.9"));
  EXPECT_EQ(r.dst_mac, kTheirs);
  EXPECT_EQ(r.src_mac, kOurs);
  EXPECT_EQ(r.mtu, 1500);
  EXPECT_EQ(r.mtu_from, model::MtuFrom::kPort) << "the interface itself has 1600";
  const model::Reach narrow = reach("10.0.0.11", route("10.0.0.11", 32, RTN_UNICAST, 3).put_mtu(1400));
  EXPECT_EQ(narrow.mtu, 1400);
  EXPECT_EQ(narrow.mtu_from, model::MtuFrom::kRoute);
}

TEST_F(ReachTest, LeavesInTheVlanOfTheRoutesInterface) {
  state_.apply(link(7, "lan.30", 1496).put_vlan(3, 30));
  state_.apply(own(RTM_NEWADDR, 7, "10.30.0.1"));
  state_.apply(neighbour(RTM_NEWNEIGH, 7, "10.30.0.11", NUD_REACHABLE));
  const Message answer = route("10.30.0.11", 32, RTN_UNICAST, 7);
  const auto r = reach("10.30.0.11", answer);
  ASSERT_TRUE(r.resolved) << r.why;
  EXPECT_EQ(r.port, net::PortId{1});
  EXPECT_EQ(r.vlan, 30);
  EXPECT_EQ(r.source, address("10.30.0.1"));
  EXPECT_EQ(r.mtu, 1496);
  EXPECT_TRUE(r.on_link);
  EXPECT_EQ(next_hop_of(address("10.30.0.11"), read_route(answer), state_, ports_),
            NeighbourKey(7, address("10.30.0.11")));

  state_.apply(neighbour(RTM_NEWNEIGH, 3, "10.0.0.11", NUD_REACHABLE));
  EXPECT_EQ(reach("10.0.0.11", route("10.0.0.11", 32, RTN_UNICAST, 3)).vlan, 0);
  EXPECT_TRUE(state_.apply(link(7, "lan.30", 1496).put_vlan(3, 31)).routes) << "another VLAN";
  EXPECT_EQ(reach("10.30.0.11", answer).vlan, 31);
}

TEST_F(ReachTest, SaysWhichVlansItCannotSendTo) {
  state_.apply(link(7, "mgmt.30", 1500).put_vlan(4, 30));
  EXPECT_EQ(reach("10.30.0.11", route("10.30.0.11", 32, RTN_UNICAST, 7)).why,
            "the route to 10.30.0.11 leaves by mgmt.30, which is no port of lbd (lan) nor a VLAN of one");
  state_.apply(link(8, "lan.9", 1500).put_vlan(3, 9, ETH_P_8021AD));
  EXPECT_EQ(reach("10.30.0.11", route("10.30.0.11", 32, RTN_UNICAST, 8)).why,
            "the route to 10.30.0.11 leaves by lan.9, whose tags are 802.1ad: lbd sends 802.1Q tags only");
}

TEST_F(ReachTest, TellsThePortsAddresses) {
  state_.apply(own(RTM_NEWADDR, 3, "10.0.0.9"));
  state_.apply(own(RTM_NEWADDR, 3, "fe80::1"));
  state_.apply(own(RTM_NEWADDR, 4, "192.168.0.1"));
  EXPECT_EQ(port_addresses(state_, ports_),
            (std::vector<model::PortAddress>{{}, {.ipv4 = address("10.0.0.1"), .ipv6 = {}}}));
  state_.apply(own(RTM_NEWADDR, 3, "2001:db8::2"));
  state_.apply(own(RTM_NEWADDR, 3, "2001:db8::1"));
  state_.apply(own(RTM_DELADDR, 3, "10.0.0.1"));
  EXPECT_EQ(port_addresses(state_, ports_)[1],
            (model::PortAddress{.ipv4 = address("10.0.0.9"), .ipv6 = address("2001:db8::1")}));
}

TEST_F(ReachTest, APortWithoutAnAddressAnswersWithAVlans) {
  state_.apply(link(7, "lan.30", 1500).put_vlan(3, 30));
  state_.apply(own(RTM_NEWADDR, 7, "10.30.0.1"));
  state_.apply(own(RTM_NEWADDR, 7, "2001:db8:30::1"));
  EXPECT_EQ(port_addresses(state_, ports_)[1],
            (model::PortAddress{.ipv4 = address("10.0.0.1"), .ipv6 = address("2001:db8:30::1")}));
}

TEST_F(ReachTest, BehindAGateway) {
  state_.apply(neighbour(RTM_NEWNEIGH, 3, "10.0.0.254", NUD_STALE));
  const auto r = reach("10.9.0.1", route("10.9.0.1", 32, RTN_UNICAST, 3).put(RTA_GATEWAY, address("10.0.0.254")));
  ASSERT_TRUE(r.resolved) << r.why;
  EXPECT_EQ(r.next_hop, address("10.0.0.254"));
  EXPECT_FALSE(r.on_link);
  EXPECT_EQ(r.source, address("10.0.0.1")) << "the interface's own when the route names none";
}

TEST_F(ReachTest, SaysWhyNot) {
  const auto why = [&](const char* backend, const Message& m) { return reach(backend, m).why; };
  nlmsgerr error{};
  error.error = -ENETUNREACH;
  EXPECT_EQ(why("10.0.0.11", Message(NLMSG_ERROR, error)), "no route to 10.0.0.11");
  error.error = -EINVAL;
  EXPECT_EQ(why("10.0.0.11", Message(NLMSG_ERROR, error)), "the route to 10.0.0.11 is a blackhole");
  EXPECT_EQ(why("10.0.0.1", route("10.0.0.1", 32, RTN_LOCAL, 1)), "10.0.0.1 is an address of this host");
  EXPECT_EQ(why("10.0.0.11", route("10.0.0.11", 32, RTN_UNREACHABLE, 3)), "the route to 10.0.0.11 says unreachable");
  EXPECT_EQ(why("10.5.0.1", route("10.5.0.1", 32, RTN_UNICAST, 4)),
            "the route to 10.5.0.1 leaves by mgmt, which is no port of lbd (lan) nor a VLAN of one");
  EXPECT_EQ(why("10.0.0.11", route("10.0.0.11", 32, RTN_UNICAST, 3)), "neighbour 10.0.0.11 on lan is not resolved yet");
  state_.apply(neighbour(RTM_NEWNEIGH, 3, "10.0.0.11", NUD_FAILED));
  EXPECT_EQ(why("10.0.0.11", route("10.0.0.11", 32, RTN_UNICAST, 3)), "neighbour 10.0.0.11 on lan does not answer");
  state_.apply(neighbour(RTM_NEWNEIGH, 3, "10.0.0.11", NUD_INCOMPLETE));
  EXPECT_EQ(reach("10.0.0.11", route("10.0.0.11", 32, RTN_UNICAST, 3), true).why,
            "neighbour 10.0.0.11 on lan does not answer")
      << "asking a silent one again is no news";
  state_.apply(neighbour(RTM_NEWNEIGH, 3, "2001:db8::11", NUD_REACHABLE));
  EXPECT_EQ(why("2001:db8::11", route("2001:db8::11", 128, RTN_UNICAST, 3).put(RTA_PREFSRC, address("fe80::1"))),
            "lan has no IPv6 address to send from but link-local ones");
  state_.apply(link(3, "lan", 1600, 0));
  EXPECT_EQ(why("10.0.0.11", route("10.0.0.11", 32, RTN_UNICAST, 3)), "lan is down");
}

TEST(KernelState, TellsWhatAnEventCanChange) {
  KernelState state;
  EXPECT_TRUE(state.apply(link(3, "lan", 1500)).routes);
  EXPECT_TRUE(state.apply(link(3, "lan", 1500)).none()) << "statistics, say";
  EXPECT_TRUE(state.apply(link(3, "lan", 1400)).routes);
  EXPECT_TRUE(state.apply(own(RTM_NEWADDR, 3, "2001:db8::1", IFA_F_TENTATIVE)).none());
  EXPECT_TRUE(state.own_addresses().empty());
  EXPECT_TRUE(state.apply(own(RTM_NEWADDR, 3, "2001:db8::1")).routes);
  EXPECT_EQ(state.own_addresses().size(), 1u);
  EXPECT_TRUE(state.apply(own(RTM_NEWADDR, 3, "2001:db8::1")).none());
  EXPECT_TRUE(state.apply(own(RTM_DELADDR, 3, "2001:db8::1")).routes);
  const auto effect = state.apply(route("10.1.0.0", 16, RTN_UNICAST, 3));
  ASSERT_TRUE(effect.route);
  EXPECT_EQ(effect.route->to_string(), "10.1.0.0/16");
  EXPECT_TRUE(state.apply(neighbour(RTM_NEWNEIGH, 3, "10.0.0.2", NUD_INCOMPLETE)).neighbour);
  EXPECT_TRUE(state.apply(neighbour(RTM_NEWNEIGH, 3, "10.0.0.2", NUD_REACHABLE)).neighbour);
  EXPECT_TRUE(state.apply(neighbour(RTM_NEWNEIGH, 3, "10.0.0.2", NUD_STALE)).none());
  EXPECT_TRUE(state.apply(neighbour(RTM_DELNEIGH, 3, "10.0.0.2", NUD_STALE)).neighbour);
  EXPECT_TRUE(state.apply(neighbour(RTM_DELNEIGH, 3, "10.0.0.2", NUD_STALE)).none());
}

TEST(KernelState, ShortMessagesAreIgnored) {
  KernelState state;
  for (uint16_t type : {RTM_NEWLINK, RTM_NEWADDR, RTM_NEWNEIGH, RTM_NEWROUTE, RTM_DELADDR}) {
    EXPECT_TRUE(state.apply(Message(type, uint8_t{0})).none()) << type;
  }
  EXPECT_EQ(read_route(Message(RTM_NEWROUTE, uint8_t{0})).kind, Route::Kind::kNone);
  EXPECT_EQ(read_route(Message(NLMSG_ERROR, uint8_t{0})).kind, Route::Kind::kNone);
}

}  // namespace
}  // namespace lb::ctl
