// Valid random configurations for property tests. A failing test prints the seed.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dataplane/model/config.h"

namespace lb::model {

class RandomConfig {
 public:
  explicit RandomConfig(uint32_t seed) : random_(seed) {}

  // Canonical and valid: names, addresses and listeners from small sets, so that two of them have much in common.
  Config make() {
    Config c;
    if (chance(50)) c.daemon = daemon();
    for (const std::string& name : some(kPools)) c.pools[name] = pool(name);
    if (!c.pools.empty())
      for (const std::string& name : some(kServices)) c.services[name] = service(name, c);
    canonicalize(c);
    return c;
  }

 private:
  static inline const std::vector<std::string> kPools{"fe", "be.x", "null", "0x1f", "1e3", "a-b_c", "yes"};
  static inline const std::vector<std::string> kServices{"web", "dns", "true", "7", "s.1", "n", "x-y"};
  static inline const std::vector<std::string> kTexts{
      "r12",         "yes", "null", "~", "a: b",   "[x]",         "{y}",  "# no comment", "it's", "say \"x\"",
      "back\\slash", "5",   "1e3",  " ", " lead ", "Z\u00fcrich", "*all", "&here",        "!tag", "- item",
      "%x",          "a,b", "@",    "`", "|",      ">",           "? x",  "\\n"};

  uint32_t below(uint32_t n) { return std::uniform_int_distribution<uint32_t>(0, n - 1)(random_); }
  bool chance(uint32_t percent) { return below(100) < percent; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[below(static_cast<uint32_t>(all.size()))];
  }
  std::vector<std::string> some(const std::vector<std::string>& all) {
    std::vector<std::string> out;
    for (const std::string& s : all)
      if (chance(50)) out.push_back(s);
    return out;
  }
  Address address(uint8_t net) {
    const std::string text = chance(50) ? fmt::format("10.{}.0.{}", net, 1 + below(60))
                                        : fmt::format("2001:db8:{:x}::{:x}", net, 1 + below(60));
    return *net::Address::parse(text);
  }
  Daemon daemon() {
    Daemon d;
    d.workers = {below(4), 4 + below(4)};
    d.huge_pages = static_cast<HugePages>(below(3));
    d.idle = static_cast<Idle>(below(2));
    d.ports.push_back({"wan", chance(50) ? "eth1" : "net_pcap0,rx_pcap=/tmp/a b", {}});
    if (d.ports[0].device.find(' ') != std::string::npos) d.ports[0].device = "net_pcap0,rx_pcap=in.pcap";
    if (chance(50)) d.ports.push_back({"lan", "eth2", static_cast<uint16_t>(1280 + below(7721))});
    if (chance(30)) d.socket = "/run/a b: #c/lbd.sock";
    if (chance(30)) d.flows = chance(30) ? 0 : kMinFlows + below(1u << 20);
    if (chance(30)) d.state_dir = "/var/lib/x";
    if (chance(30)) d.access = {{"%1001", "DOM\\al ice", "lbd@x"}, {"%lbd-view"}};
    if (chance(10)) d.access.operators.clear();
    if (chance(30)) d.orphan_after_s = chance(30) ? 0 : 1 + below(604800);
    for (uint32_t i = 0, n = below(3); i < n; ++i)
      d.interfaces.push_back({fmt::format("eth{}", 7 + i), static_cast<XdpMode>(below(2))});
    if (!d.interfaces.empty() && chance(50)) d.engine = "xdp";
    if (d.engine == "xdp" && chance(50)) {
      d.workers.clear();
      d.ports.clear();
    }
    return d;
  }
  Pool pool(const std::string& name) {
    Pool p{name, {}};
    std::set<Address> used;
    for (uint32_t i = 0, n = below(6); i < n; ++i) {
      Backend b{fmt::format("b{}", i + below(2) * 10), address(1), chance(30) ? 100 : 10 + below(991), {}};
      if (!used.insert(b.address).second || has(p, b.name)) continue;
      for (uint32_t l = below(4); l > 0; --l) b.labels[one_of(kPools)] = one_of(kTexts);
      p.backends.push_back(std::move(b));
    }
    return p;
  }
  static bool has(const Pool& p, const std::string& name) {
    for (const Backend& b : p.backends)
      if (b.name == name) return true;
    return false;
  }
  Service service(const std::string& name, const Config& c) {
    Service s;
    s.name = name;
    std::vector<std::string> pools;
    for (const auto& [pool_name, pool] : c.pools) pools.push_back(pool_name);
    s.pool = one_of(pools);
    // A port range of its own for each service, so that no two listeners overlap.
    const auto at = std::find(kServices.begin(), kServices.end(), name) - kServices.begin();
    const auto base = static_cast<uint16_t>(1000 * (at + 1));
    const Address vip = address(200);
    s.listen.push_back({vip, base, base, net::IpProto::kTcp});
    if (chance(50)) s.listen.push_back({vip, base, base, net::IpProto::kUdp});
    if (chance(50))
      s.listen.push_back({vip, static_cast<uint16_t>(base + 1), static_cast<uint16_t>(base + 99), net::IpProto::kTcp});
    s.forward = chance(20) && fits_dsr(c.pools.at(s.pool), vip) ? Forward::kDsr : Forward::kIpip;
    s.schedule = static_cast<Schedule>(below(2));
    s.table_size = one_of(std::vector<uint32_t>{65537, 65537, 1009, 5003, 655373});
    s.prefix4 = static_cast<uint8_t>(chance(50) ? 32 : 1 + below(32));
    s.prefix6 = static_cast<uint8_t>(chance(50) ? 64 : 1 + below(128));
    s.on_no_listener = static_cast<NoListener>(vip.raw().b[15] % 4);  // the same wherever that address is
    s.announce = chance(50) ? Announce::kOn : Announce::kOff;
    return s;
  }
  static bool fits_dsr(const Pool& p, const Address& vip) {
    for (const Backend& b : p.backends)
      if (b.address.family() == vip.family()) return true;
    return false;
  }

  std::mt19937 random_;
};

}  // namespace lb::model
