// Rules of a NIC that is shared with the kernel: what each matches, which a device gets, and what becomes of the set
// when the device refuses one. The device is a list.
#include "dataplane/dpdk/nic_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <rte_ethdev.h>

namespace lb::dpdk {
namespace {

constexpr net::Mac kMac{{0x02, 0x1b, 0xd1, 0, 1, 1}};

net::Address address(const std::string& text) {
  return net::Address::parse(text).value();
}

// What a rule says, read back from the device's side.
struct Made {
  std::string pattern;              // "eth vlan ipv6 192.0.2.1 tcp"
  std::string address;              // that it matches, all bits of it
  std::string mac;                  // likewise
  uint8_t type = 0, type_mask = 0;  // of ICMPv6
  bool fragment = false;
  uint32_t priority = 0;
  bool rss = false;
  std::vector<uint16_t> queues;
  std::vector<uint8_t> key;
  uint64_t types = 0;
};

bool all_ones(const void* bytes, size_t n) {
  const auto* p = static_cast<const uint8_t*>(bytes);
  return std::all_of(p, p + n, [](uint8_t b) { return b == 0xff; });
}

void read_item(const rte_flow_item& item, Made& made) {
  switch (item.type) {
    case RTE_FLOW_ITEM_TYPE_ETH: {
      const auto* eth = static_cast<const rte_flow_item_eth*>(item.spec);
      const auto* mask = static_cast<const rte_flow_item_eth*>(item.mask);
      net::Mac mac;
      memcpy(mac.bytes.data(), eth->hdr.dst_addr.addr_bytes, 6);
      made.mac = mac.to_string();
      EXPECT_TRUE(all_ones(mask->hdr.dst_addr.addr_bytes, 6));
      EXPECT_EQ(mask->hdr.ether_type, 0);
      made.pattern += "eth";
      break;
    }
    case RTE_FLOW_ITEM_TYPE_VLAN:
      EXPECT_EQ(item.spec, nullptr);  // any number
      made.pattern += " vlan";
      break;
    case RTE_FLOW_ITEM_TYPE_IPV4: {
      const auto* ip = static_cast<const rte_flow_item_ipv4*>(item.spec);
      const auto* mask = static_cast<const rte_flow_item_ipv4*>(item.mask);
      uint8_t bytes[4];
      memcpy(bytes, &ip->hdr.dst_addr, 4);
      made.address = net::Address::from_ipv4(bytes).to_string();
      EXPECT_TRUE(all_ones(&mask->hdr.dst_addr, 4));
      EXPECT_EQ(mask->hdr.next_proto_id, 0);
      made.pattern += " ipv4";
      break;
    }
    case RTE_FLOW_ITEM_TYPE_IPV6: {
      const auto* ip = static_cast<const rte_flow_item_ipv6*>(item.spec);
      const auto* mask = static_cast<const rte_flow_item_ipv6*>(item.mask);
      made.address = net::Address::from_ipv6(ip->hdr.dst_addr).to_string();
      EXPECT_TRUE(all_ones(mask->hdr.dst_addr, 16));
      EXPECT_EQ(mask->hdr.proto, 0);
      made.fragment = ip->has_frag_ext && mask->has_frag_ext;
      made.pattern += " ipv6";
      break;
    }
    case RTE_FLOW_ITEM_TYPE_TCP:
      made.pattern += " tcp";
      break;
    case RTE_FLOW_ITEM_TYPE_UDP:
      made.pattern += " udp";
      break;
    case RTE_FLOW_ITEM_TYPE_ICMP6:
      made.type = static_cast<const rte_flow_item_icmp6*>(item.spec)->type;
      made.type_mask = static_cast<const rte_flow_item_icmp6*>(item.mask)->type;
      made.pattern += " icmp6";
      break;
    default:
      ADD_FAILURE() << "an item of type " << item.type;
  }
}

Made read_rule(const rte_flow_attr& attr, const rte_flow_item* items, const rte_flow_action* actions) {
  Made made;
  EXPECT_TRUE(attr.ingress && !attr.egress && attr.group == 0);
  made.priority = attr.priority;
  for (; items->type != RTE_FLOW_ITEM_TYPE_END; items++) read_item(*items, made);
  if (actions[0].type == RTE_FLOW_ACTION_TYPE_QUEUE) {
    made.queues = {static_cast<const rte_flow_action_queue*>(actions[0].conf)->index};
  } else if (actions[0].type == RTE_FLOW_ACTION_TYPE_RSS) {
    const auto* rss = static_cast<const rte_flow_action_rss*>(actions[0].conf);
    made.rss = true;
    made.queues.assign(rss->queue, rss->queue + rss->queue_num);
    made.key.assign(rss->key, rss->key + rss->key_len);
    made.types = rss->types;
  }
  EXPECT_EQ(actions[1].type, RTE_FLOW_ACTION_TYPE_END);
  return made;
}

struct FakeNic {
  std::map<uintptr_t, Made> rules;
  std::vector<std::string> calls;  // "+192.0.2.1", "-192.0.2.1"
  std::vector<Made> all;           // ever asked for
  uintptr_t next = 1;
  std::function<bool(const Made&)> refuses = [](const Made&) { return false; };
  std::function<bool(const Made&)> keeps = [](const Made&) { return false; };

  std::set<std::string> addresses() const {
    std::set<std::string> present;
    for (const auto& [handle, made] : rules) present.insert(made.address);
    return present;
  }
};

class FakeDevice : public RuleDevice {
 public:
  explicit FakeDevice(FakeNic& nic) : nic_(nic) {}
  net::Result<rte_flow*> create(const rte_flow_attr& attr, const rte_flow_item* items,
                                const rte_flow_action* actions) override {
    const Made made = read_rule(attr, items, actions);
    nic_.all.push_back(made);
    if (nic_.refuses(made)) return net::Error{net::Code::kUnavailable, "table full"};
    nic_.calls.push_back("+" + made.address);
    nic_.rules[nic_.next] = made;
    return reinterpret_cast<rte_flow*>(nic_.next++);
  }
  net::Status destroy(rte_flow* rule) override {
    const auto it = nic_.rules.find(reinterpret_cast<uintptr_t>(rule));
    if (it == nic_.rules.end()) {
      ADD_FAILURE() << "a rule is taken away that is not there";
      return {};
    }
    if (nic_.keeps(it->second)) return net::Error{net::Code::kUnavailable, "busy"};
    nic_.calls.push_back("-" + it->second.address);
    nic_.rules.erase(it);
    return {};
  }

 private:
  FakeNic& nic_;
};

class NicRulesTest : public ::testing::Test {
 protected:
  std::unique_ptr<NicRules> open(uint16_t queues = 1, bool priority_by_kind = false) {
    auto rules = NicRules::open(
        std::make_unique<FakeDevice>(nic_),
        {.mac = kMac, .queues = queues, .rss_key = key_, .priority_by_kind = priority_by_kind, .description = "fake"});
    if (!rules) {
      error_ = rules.error();
      return nullptr;
    }
    nic_.calls.clear();
    nic_.all.clear();
    return std::move(*rules);
  }
  static net::Status set(NicRules& rules, const std::vector<std::string>& texts) {
    std::vector<net::Address> addresses;
    for (const std::string& text : texts) addresses.push_back(address(text));
    return rules.set_owned(addresses);
  }
  std::multiset<std::string> patterns() const {
    std::multiset<std::string> present;
    for (const auto& [handle, made] : nic_.rules)
      present.insert(made.pattern + (made.type_mask != 0 ? fmt::format(" {}/{:#x}", made.type, made.type_mask) : "") +
                     (made.fragment ? " fragment" : ""));
    return present;
  }
  FakeNic nic_;
  std::array<uint8_t, 40> key_ = {1, 2, 3};
  net::Error error_;
};

TEST_F(NicRulesTest, AnIpv4AddressIsMatchedWhole) {
  const auto rules = open();
  ASSERT_TRUE(set(*rules, {"192.0.2.1"}));
  EXPECT_EQ(patterns(), (std::multiset<std::string>{"eth ipv4", "eth vlan ipv4"}));
  for (const auto& [handle, made] : nic_.rules) {
    EXPECT_EQ(made.address, "192.0.2.1");
    EXPECT_EQ(made.mac, kMac.to_string());
    EXPECT_FALSE(made.rss);
    EXPECT_EQ(made.queues, std::vector<uint16_t>{0});
    EXPECT_EQ(made.priority, 0u);
  }
}

TEST_F(NicRulesTest, AnIpv6AddressIsMatchedByWhatIsAboveIt) {
  const auto rules = open();
  ASSERT_TRUE(set(*rules, {"2001:db8::1"}));
  std::multiset<std::string> wanted;
  for (const char* l2 : {"eth", "eth vlan"})
    for (const char* above : {" tcp", " udp", " icmp6 0/0x80", " icmp6 128/0xfe", " fragment"})
      wanted.insert(fmt::format("{} ipv6{}", l2, above));
  EXPECT_EQ(patterns(), wanted);
  EXPECT_EQ(nic_.addresses(), std::set<std::string>{"2001:db8::1"});
}

// ND and MLD (130-137, 143) keep the kernel's interface alive; errors and echo are lbd's.
TEST_F(NicRulesTest, NeighbourDiscoveryStaysWithTheKernel) {
  const auto rules = open();
  ASSERT_TRUE(set(*rules, {"2001:db8::1"}));
  for (unsigned type = 0; type < 256; type++) {
    const bool matched = std::any_of(nic_.rules.begin(), nic_.rules.end(), [&](const auto& rule) {
      return rule.second.type_mask != 0 && (type & rule.second.type_mask) == rule.second.type;
    });
    EXPECT_EQ(matched, type < 130) << type;
  }
}

TEST_F(NicRulesTest, SeveralQueuesGetRssWithOurKey) {
  const auto rules = open(3);
  EXPECT_EQ(rules->why_no_rss(), "");
  ASSERT_TRUE(set(*rules, {"192.0.2.1", "2001:db8::1"}));
  ASSERT_EQ(nic_.rules.size(), 12u);
  for (const auto& [handle, made] : nic_.rules) {
    EXPECT_TRUE(made.rss);
    EXPECT_EQ(made.queues, (std::vector<uint16_t>{0, 1, 2}));
    EXPECT_EQ(made.key, std::vector<uint8_t>(key_.begin(), key_.end()));
    const bool tcp = made.pattern.ends_with("tcp") || made.pattern.ends_with("ipv4");
    const bool udp = made.pattern.ends_with("udp") || made.pattern.ends_with("ipv4");
    EXPECT_EQ((made.types & RTE_ETH_RSS_TCP) != 0, tcp) << made.pattern;
    EXPECT_EQ((made.types & RTE_ETH_RSS_UDP) != 0, udp) << made.pattern;
    EXPECT_EQ(made.types & RTE_ETH_RSS_IP, RTE_ETH_RSS_IP);
  }
}

TEST_F(NicRulesTest, WithoutRssAllComesInByTheFirstQueue) {
  nic_.refuses = [](const Made& made) { return made.rss; };
  const auto rules = open(2);
  ASSERT_TRUE(rules) << error_.message;
  EXPECT_EQ(rules->why_no_rss(), "it refuses rules with RSS: table full");
  ASSERT_TRUE(set(*rules, {"192.0.2.1"}));
  for (const auto& [handle, made] : nic_.rules) EXPECT_EQ(made.queues, std::vector<uint16_t>{0});
}

TEST_F(NicRulesTest, KindsThatTheDeviceCannotTellApartStayWithTheKernel) {
  nic_.refuses = [](const Made& made) { return made.type_mask != 0 || made.pattern == "eth vlan ipv6 udp"; };
  const auto rules = open();
  ASSERT_TRUE(rules) << error_.message;
  EXPECT_EQ(rules->left_to_kernel(),
            (std::vector<std::string>{"UDP over IPv6 behind a VLAN tag (table full)", "ICMPv6 errors (table full)",
                                      "ICMPv6 echo (table full)"}));
  EXPECT_TRUE(nic_.rules.empty()) << "tried out, and left there";
  ASSERT_TRUE(set(*rules, {"2001:db8::1"}));
  EXPECT_EQ(patterns(), (std::multiset<std::string>{"eth ipv6 tcp", "eth vlan ipv6 tcp", "eth ipv6 udp",
                                                    "eth ipv6 fragment", "eth vlan ipv6 fragment"}));
}

TEST_F(NicRulesTest, WithoutTheNeededKindsItIsNoPort) {
  nic_.refuses = [](const Made& made) { return made.pattern == "eth ipv6 tcp"; };
  EXPECT_FALSE(open());
  EXPECT_EQ(error_.code, net::Code::kUnsupported);
  EXPECT_EQ(error_.message,
            "the NIC takes no rule for TCP over IPv6, so lbd cannot share it with the kernel: table full");
  EXPECT_TRUE(nic_.rules.empty());
}

TEST_F(NicRulesTest, ThoseThatStayAreNotTouchedAndNewOnesComeFirst) {
  const auto rules = open();
  ASSERT_TRUE(set(*rules, {"192.0.2.1", "192.0.2.2"}));
  nic_.calls.clear();
  ASSERT_TRUE(set(*rules, {"192.0.2.2", "192.0.2.3"}));
  EXPECT_EQ(nic_.calls, (std::vector<std::string>{"+192.0.2.3", "+192.0.2.3", "-192.0.2.1", "-192.0.2.1"}));
  EXPECT_EQ(nic_.addresses(), (std::set<std::string>{"192.0.2.2", "192.0.2.3"}));
}

TEST_F(NicRulesTest, OneThatIsRefusedUndoesThoseBeforeIt) {
  const auto rules = open();
  ASSERT_TRUE(set(*rules, {"192.0.2.1"}));
  nic_.calls.clear();
  nic_.refuses = [](const Made& made) { return made.address == "192.0.2.4" && made.pattern == "eth vlan ipv4"; };
  const net::Status refused = set(*rules, {"192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kUnavailable);
  EXPECT_NE(refused.error().message.find("refuses the rule for 192.0.2.4, IPv4 behind a VLAN tag, beside the 2 that it "
                                         "has: table full"),
            std::string::npos)
      << refused.error().message;
  EXPECT_EQ(nic_.addresses(), std::set<std::string>{"192.0.2.1"});
  EXPECT_EQ(std::count(nic_.calls.begin(), nic_.calls.end(), "-192.0.2.1"), 0);
  // The next one begins from there.
  nic_.refuses = [](const Made&) { return false; };
  ASSERT_TRUE(set(*rules, {"192.0.2.4"}));
  EXPECT_EQ(nic_.rules.size(), 2u);
}

TEST_F(NicRulesTest, OneThatCannotBeTakenAwayIsAnErrorAndStays) {
  const auto rules = open();
  ASSERT_TRUE(set(*rules, {"192.0.2.1", "192.0.2.2"}));
  nic_.keeps = [](const Made& made) { return made.address == "192.0.2.1" && made.pattern == "eth vlan ipv4"; };
  const net::Status kept = set(*rules, {"192.0.2.2"});
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().message, "the NIC keeps the rule for 192.0.2.1, IPv4 behind a VLAN tag: busy");
  // Back to the set from before, as whoever publishes does: what is there is not made twice.
  ASSERT_TRUE(set(*rules, {"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(nic_.rules.size(), 4u);
  nic_.keeps = [](const Made&) { return false; };
  ASSERT_TRUE(set(*rules, {"192.0.2.2"}));
  EXPECT_EQ(nic_.addresses(), std::set<std::string>{"192.0.2.2"});
}

TEST_F(NicRulesTest, EndsWithoutRules) {
  auto rules = open();
  ASSERT_TRUE(set(*rules, {"192.0.2.1", "2001:db8::1"}));
  rules.reset();
  EXPECT_TRUE(nic_.rules.empty());
}

// A priority of tc holds rules of one protocol and mask.
TEST_F(NicRulesTest, PrioritiesByKind) {
  const auto rules = open(1, true);
  ASSERT_TRUE(set(*rules, {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"}));
  std::map<uint32_t, std::set<std::string>> kinds;
  for (const auto& [handle, made] : nic_.rules)
    kinds[made.priority].insert(fmt::format("{} {} {}", made.pattern, made.type_mask, made.fragment));
  EXPECT_EQ(kinds.size(), 12u);
  for (const auto& [priority, patterns] : kinds) EXPECT_EQ(patterns.size(), 1u) << priority;
}

}  // namespace
}  // namespace lb::dpdk
