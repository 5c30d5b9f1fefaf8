#include "dataplane/model/config_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "dataplane/model/validate.h"
#include "tests/unit/model/random_config.h"

namespace lb::model {
namespace {

// A file system of texts; patterns end in *.
Reader files(std::map<std::string, std::string> texts) {
  const auto glob = [texts](const std::string& pattern) -> net::Result<std::vector<std::string>> {
    std::vector<std::string> out;
    for (const auto& [path, text] : texts)
      if (path == pattern || (pattern.ends_with('*') && path.starts_with(pattern.substr(0, pattern.size() - 1))))
        out.push_back(path);
    return out;
  };
  const auto read = [texts](const std::string& path) -> net::Result<std::string> {
    if (const auto it = texts.find(path); it != texts.end()) return it->second;
    return net::Error{net::Code::kNotFound, "cannot read " + path};
  };
  return {glob, read};
}

Parsed parse(std::string_view text) {
  return parse_config(text, "t.yaml", no_includes());
}

std::string told(const Parsed& p) {
  std::string out;
  for (const Problem& problem : p.problems) out += problem.to_string() + "\n";
  return out;
}

// The document with `pools` and `services` around one line of a backend or service.
std::string with_backend(const std::string& keys) {
  return fmt::format("version: 1\npools:\n  fe:\n    backends:\n      - {{name: fe11, address: 10.0.0.11{}}}\n", keys);
}
std::string with_service(const std::string& keys) {
  return fmt::format(
      "version: 1\npools: {{fe: {{}}}}\nservices:\n  web: {{listen: [\"192.0.2.10:80/tcp\"], pool: fe{}}}\n", keys);
}

constexpr std::string_view kWhole = R"(version: 1
daemon:
  engine: dpdk
  socket: /run/x.sock
  state-dir: /var/lib/x
  hash-key-file: /etc/x
  hash-version: 1
  flows: 65536
  shutdown-delay: 1m
  access: {operator: ["%lbd", 1001, root], viewer: ["%lbd-view"]}
  dpdk:
    workers: [2, 3]
    huge-pages: off
    idle: poll
    ports:
      - {name: wan, device: eth1, mtu: 1500}
      - {name: lan, device: net_ring0}
defaults: {forward: dsr, schedule: source-hash, table-size: 1009, source-prefix: [24, 56], on-no-listener: reject, announce: on}
pools:
  fe:
    backends:
      - {name: fe12, address: "2001:db8:1::12", weight: 50}
      - {name: fe11, address: 10.0.0.11, labels: {rack: r12}}
services:
  web: {listen: ["[2001:db8::10]:443/tcp", "192.0.2.10:80/tcp"], pool: fe}
  dns: {listen: ["192.0.2.53:53/udp"], pool: fe, forward: ipip, schedule: maglev, table-size: 251, source-prefix: [32, 128], on-no-listener: drop, announce: off}
)";

TEST(ConfigText, ReadsEverySetting) {
  const Parsed p = parse(kWhole);
  ASSERT_EQ(told(p), "");
  EXPECT_TRUE(p.has_daemon);
  EXPECT_EQ(p.files, std::vector<std::string>{"t.yaml"});
  const Daemon& d = p.config.daemon;
  EXPECT_EQ(d.socket, "/run/x.sock");
  EXPECT_EQ(d.workers, (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(d.huge_pages, HugePages::kOff);
  EXPECT_EQ(d.flows, 65536u);
  EXPECT_EQ(d.access.operators, (std::vector<std::string>{"%lbd", "1001", "root"}));
  EXPECT_EQ(d.access.viewers, std::vector<std::string>{"%lbd-view"});
  EXPECT_EQ(d.idle, Idle::kPoll);
  EXPECT_EQ(d.shutdown_delay_s, 60u);
  EXPECT_EQ(d.ports, (std::vector<Port>{{"wan", "eth1", 1500}, {"lan", "net_ring0", {}}}));
  const Pool& fe = p.config.pools.at("fe");
  ASSERT_EQ(fe.backends.size(), 2u);
  EXPECT_EQ(fe.backends[0].name, "fe11");  // sorted
  EXPECT_EQ(fe.backends[0].weight, 100u);
  EXPECT_EQ(fe.backends[0].labels.at("rack"), "r12");
  EXPECT_EQ(fe.backends[1].address.to_string(), "2001:db8:1::12");
  EXPECT_EQ(fe.backends[1].weight, 50u);
}

TEST(ConfigText, ServicesTakeDefaultsUnlessTheySayOtherwise) {
  const Parsed p = parse(kWhole);
  ASSERT_EQ(told(p), "");
  const Service &web = p.config.services.at("web"), &dns = p.config.services.at("dns");
  EXPECT_EQ(std::tuple(web.forward, web.schedule, web.table_size, web.prefix4, web.prefix6),
            std::tuple(Forward::kDsr, Schedule::kSourceHash, 1009u, 24, 56));
  EXPECT_EQ(std::tuple(dns.forward, dns.schedule, dns.table_size, dns.prefix4, dns.prefix6),
            std::tuple(Forward::kIpip, Schedule::kMaglev, 251u, 32, 128));
  EXPECT_EQ(web.on_no_listener, NoListener::kReject);
  EXPECT_EQ(dns.on_no_listener, NoListener::kDrop);
  EXPECT_EQ(web.announce, Announce::kOn);
  EXPECT_EQ(dns.announce, Announce::kOff);
  ASSERT_EQ(web.listen.size(), 2u);
  EXPECT_EQ(web.listen[0].to_string(), "192.0.2.10:80/tcp");  // sorted
}

TEST(ConfigText, AnnounceAndTheShutdownDelayAreWrittenAsTheyAreRead) {
  const std::string text =
      "version: 1\ndaemon:\n  engine: xdp\n  shutdown-delay: 0s\n  xdp:\n    interfaces:\n"
      "      - {name: eth0, mode: native}\npools:\n  fe:\n    backends:\n      - {name: a, address: 10.0.0.1}\n"
      "services:\n  web:\n    listen:\n      - \"192.0.2.1:80/tcp\"\n    pool: fe\n    announce: on\n";
  const Parsed p = parse(text);
  ASSERT_EQ(told(p), "");
  EXPECT_EQ(p.config.daemon.shutdown_delay_s, 0u);
  EXPECT_EQ(print_config(p.config), text);
}

TEST(ConfigText, BuiltInValuesWithoutDefaults) {
  const Parsed p = parse(with_service(""));
  ASSERT_EQ(told(p), "");
  EXPECT_FALSE(p.has_daemon);
  EXPECT_EQ(p.config.daemon, Daemon());
  EXPECT_EQ(p.config.services.at("web").forward, Forward::kIpip);
  EXPECT_EQ(p.config.services.at("web").table_size, 65537u);
  EXPECT_EQ(p.config.services.at("web").announce, Announce::kOff);
  EXPECT_EQ(p.config.daemon.shutdown_delay_s, 10u);
}

struct BadCase {
  std::string text;
  std::vector<std::string> told;  // each must be in what is told
};

void PrintTo(const BadCase& c, std::ostream* out) {
  *out << c.text.substr(0, 200);
}

class ConfigTextBad : public testing::TestWithParam<BadCase> {};

TEST_P(ConfigTextBad, IsToldWithPlaceAndRule) {
  const Parsed p = parse(GetParam().text);
  ASSERT_FALSE(p.problems.empty());
  for (const std::string& sentence : GetParam().told)
    EXPECT_NE(told(p).find(sentence), std::string::npos) << "expected: " << sentence << "\ntold:\n" << told(p);
  EXPECT_EQ(p.problems.size(), GetParam().told.size()) << told(p);
}

const std::vector<BadCase> kBadKeys = {
    {"version: 1\nversion: 1\n", {"t.yaml:2:1: version: duplicate key 'version': it stands in line 1, column 1"}},
    {"version: 1\npools: {}\npools: {}\n", {"3:1: pools: duplicate key"}},
    {"version: 1\npools: {fe: {}, fe: {}}\n", {"2:17: pools.fe: duplicate key 'fe'"}},
    {with_backend(", weight: 1, weight: 2"), {"5:53: pools.fe.backends[0].weight: duplicate key"}},
    {with_backend(", labels: {a: b, a: c}"), {"labels.a: duplicate key"}},
    {with_service(", pool: fe"), {"services.web.pool: duplicate key"}},
    {with_backend(", wieght: 1"), {"5:42: pools.fe.backends[0].wieght: unknown key `wieght`; did you mean `weight`?"}},
    {with_backend(", Weight: 1"), {"`Weight` is written `weight`"}},
    {with_backend(", frobnicate: 1"), {"unknown key `frobnicate`; a backend knows: name, address, weight, labels"}},
    {with_backend(", port: 80"), {"`port` on a backend is for the forward modes nat and full-nat"}},
    {with_backend(", backup: true"), {"`backup` is not in this version"}},
    {with_backend(", listen: x"), {"`listen` is a key of a service, not of a backend"}},
    {with_service(", balance: rr"), {"`balance` is `schedule` here"}},
    {with_service(", lb_algo: rr"), {"`lb_algo` is `schedule` here"}},
    {with_service(", scheduler: rr"), {"`scheduler` is `schedule` here"}},
    {with_service(", lb_kind: DR"), {"`lb_kind` is `forward` here"}},
    {with_service(", sticky: off"), {"`sticky` is not in this version"}},
    {with_service(", advertise: on"), {"`advertise` is `announce` here"}},
    {with_service(", announce: true"), {"announce 'true' is `on` here"}},
    {with_service(", announce: maybe"), {"unknown announce 'maybe'; it is one of: on, off"}},
    {with_service(", name: web"), {"`name` is not written inside a service"}},
    {"version: 1\nservices: {web: {vip: x, upstream: y}}\n",
     {"`vip` is `listen` here", "`upstream` is `pools` here", "services.web.pool: is missing"}},
    {"version: 1\npools: {fe: {real_server: []}}\n", {"`real_server` is `backends` here"}},
    {"version: 1\npools: {fe: {slow-start: 1s, check: web}}\n", {"`slow-start` is not in this", "`check` is not in"}},
    {"version: 1\nchecks: {}\n", {"2:1: checks: `checks` is not in this version"}},
    {"version: 1\ndefaults: {check: web, pool: fe}\n", {"`check` is not in this version", "`pool` has no default"}},
    {"version: 1\npools: {[a]: {}}\n", {"a key must be a word, not a list"}},
    {"version: 1\npools: {~: {}}\n", {"a key must be a word, not nothing"}},
};
INSTANTIATE_TEST_SUITE_P(Keys, ConfigTextBad, testing::ValuesIn(kBadKeys));

const std::vector<BadCase> kBadValues = {
    {"", {"t.yaml: the document is empty"}},
    {"# only a comment\n", {"the document is empty"}},
    {"pools: {}\n", {"1:1: version: is missing: write `version: 1`"}},
    {"version: 1\ndaemon: {shutdown-delay: 10, engine: xdp, xdp: {interfaces: [{name: eth0}]}}\n",
     {"'10' must be a time with its unit, such as 10s or 1m"}},
    {"version: 1\ndaemon: {shutdown-delay: 2h, engine: xdp, xdp: {interfaces: [{name: eth0}]}}\n",
     {"'2h' is out of range: it must be 0s to 1h"}},
    {"version: 2\n", {"1:10: version: version 2 of the document is not known"}},
    {"version: one\n", {"version 'one' must be a whole number"}},
    {"- a\n", {"the document must hold keys"}},
    {"hello\n", {"the document must hold keys (version, include, daemon, defaults, pools, services), not 'hello'"}},
    {"version: 1\npools:\n", {"2:1: pools: has no value"}},
    {"version: 1\npools: []\n", {"2:8: pools: must hold pools by name, not a list"}},
    {"version: 1\npools: {fe: }\n", {"pools.fe: fe has no value"}},
    {"version: 1\npools: {Fe: {}}\n", {"pools.Fe: pool name 'Fe' must be 1 to 63 of"}},
    {"version: 1\npools: {fe: {backends: 5}}\n",
     {"must be a list (backends, such as [{name: fe11, address: 10.0.0.11}"
      "]), not '5'"}},
    {"version: 1\npools: {fe: {backends: [a]}}\n", {"must hold name, address, weight and labels, not 'a'"}},
    {"version: 1\npools: {fe: {backends: [{}]}}\n",
     {"backends[0].name: is missing", "backends[0].address: is missing"}},
    {with_backend(", weight: 1001"),
     {"5:50: pools.fe.backends[0].weight: weight '1001' is out of range: it must be a "
      "whole number from 0 to 1000"}},
    {with_backend(", weight: 99999999999999999999"), {"weight '99999999999999999999' is out of range"}},
    {with_backend(", weight: -1"), {"weight '-1' must be a whole number from 0 to 1000, written in digits"}},
    {with_backend(", weight: 1e3"), {"weight '1e3' must be"}},
    {with_backend(", weight: 0x10"), {"weight '0x10' must be"}},
    {with_backend(", weight: 010"), {"weight '010' starts with 0, which some read as octal"}},
    {with_backend(", weight: \"5\""), {"weight '5' is a text: write the number without quotes"}},
    {with_backend(", weight: [5]"), {"weight must be a whole number from 0 to 1000, not a list"}},
    {with_backend(", weight: "), {"weight: has no value"}},
    {with_backend(", labels: [a]"), {"must hold labels, such as {rack: r12}, not a list"}},
    {with_backend(", labels: {Rack: a}"), {"label name 'Rack' must be"}},
    {with_backend(", labels: {rack: {}}"), {"must be a text, not keys and values"}},
    {"version: 1\npools: {fe: {backends: [{name: a, address: 10.0.0.1:80}]}}\n", {"'10.0.0.1:80' has a port"}},
    {"version: 1\npools: {fe: {backends: [{name: a, address: host.example}]}}\n", {"'host.example' is not an IP"}},
    {with_service(", forward: gue"), {"forward `gue` is not in this version; this one knows: dsr, ipip"}},
    {with_service(", forward: nat"), {"forward `nat` is not in this version"}},
    {with_service(", forward: DR"), {"forward 'DR' is `dsr` here"}},
    {with_service(", forward: ipp"), {"unknown forward 'ipp'; did you mean `ipip`?"}},
    {with_service(", schedule: wrr"), {"schedule 'wrr' is `round-robin` here, which is not in this version"}},
    {with_service(", schedule: least-conn"), {"schedule `least-conn` is not in this version"}},
    {with_service(", schedule: sh"), {"schedule 'sh' is `source-hash` here"}},
    {with_service(", on-no-listener: RST"), {"on-no-listener 'RST' is `reject` here"}},
    {with_service(", on-no-listener: rejekt"), {"unknown on-no-listener 'rejekt'; did you mean `reject`?"}},
    {with_service(", on-no-listener: sorry"), {"it is one of: auto, drop, reject, punt"}},
    {"version: 1\npools: {fe: {}}\nservices:\n  a: {listen: [\"192.0.2.1:80/tcp\"], pool: fe, on-no-listener: drop}\n"
     "  b: {listen: [\"192.0.2.1:81/tcp\"], pool: fe}\n",
     {"4:63: services.a.on-no-listener: drop here, auto in service b, which listens on 192.0.2.1 too",
      "5:3: services.b.on-no-listener: auto here, drop in service a"}},
    {with_service(", table-size: 65536"),
     {"table-size 65536 is no prime, so backends would miss slots: write 65521 or "
      "65537"}},
    {with_service(", table-size: 7"), {"table-size '7' is out of range"}},
    {with_service(", source-prefix: 24"), {"must be a list (IPv4 and IPv6 bits, such as [32, 64]), not '24'"}},
    {with_service(", source-prefix: [24]"), {"must be two numbers"}},
    {with_service(", source-prefix: [0, 129]"), {"IPv4 prefix length '0'", "IPv6 prefix length '129'"}},
    {"version: 1\npools: {fe: {}}\nservices: {web: {listen: \"192.0.2.1:80/tcp\", pool: fe}}\n",
     {"must be a list (listeners, such as [\"192.0.2.10:443/tcp\"]), not '192.0.2.1:80/tcp'"}},
    {"version: 1\npools: {fe: {}}\nservices: {web: {listen: [192.0.2.1:80], pool: fe}}\n", {"has no protocol"}},
    {"version: 1\npools: {fe: {}}\nservices: {web: {listen: [], pool: fe}}\n", {"service web listens nowhere"}},
    {"version: 1\npools: {fe: {}}\nservices: {web: {listen: [192.0.2.1:80/tcp], pool: fo}}\n",
     {"3:52: services.web.pool: there is no pool 'fo'; did you mean fe?"}},
    {"version: 1\ndaemon: {engine: xdp, dpdk: {workers: [1], ports: [{name: a, device: eth0}]}}\n",
     {"2:9: daemon.xdp.interfaces: no interfaces: name at least one"}},
    {"version: 1\ndaemon: {engine: xdp, xdp: {interfaces: []}}\n",
     {"2:41: daemon.xdp.interfaces: no interfaces: name at least one"}},
    {"version: 1\ndaemon: {engine: af_packet, xdp: {interfaces: [{name: eth0}]}}\n",
     {"2:18: daemon.engine: unknown engine 'af_packet'; it is one of: dpdk, xdp"}},
    {"version: 1\ndaemon: {engine: xdp, xdp: {interfaces: [{name: eth0, mode: skb}, {mode: native}, eth1]}}\n",
     {"2:61: daemon.xdp.interfaces[0].mode: mode 'skb' is `generic` here", "interfaces[1].name: is missing",
      "interfaces[2]: must hold name and mode, not 'eth1'"}},
    {"version: 1\ndaemon: {engine: xdp, xdp: {interfaces: eth0}}\n",
     {"must be a list (interfaces, such as [{name: eth0, mode: native}]), not 'eth0'"}},
    {"version: 1\ndaemon: {engine: xdp, xdp: {ports: [], workers: [1], interfaces: [{device: eth0, mtu: 9000}]}}\n",
     {"`ports` is `interfaces` here", "`workers` is not set here: engine xdp has a worker for each RX queue",
      "`device` is `name` here", "`mtu` is the interface's own with engine xdp"}},
    {"version: 1\ndaemon: {engine: xdp, xdp: {interfaces: [{name: eth0, mode: native}, {name: eth0}]}}\n",
     {"2:77: daemon.xdp.interfaces[1].name: 'eth0' is interfaces[0] already"}},
    {"version: 1\ndaemon: {orphan-after: 60, engine: xdp, xdp: {interfaces: [{name: eth0}]}}\n",
     {"2:24: daemon.orphan-after: '60' must be a time with its unit, such as 60s, 5m or 1h, or `never`"}},
    {"version: 1\ndaemon: {orphan-after: 0s, engine: xdp, xdp: {interfaces: [{name: eth0}]}}\n",
     {"daemon.orphan-after: '0s' is out of range: it must be 1s to 7d, or `never`"}},
    {"version: 1\ndaemon: {orphan-after: 8d, engine: xdp, xdp: {interfaces: [{name: eth0}]}}\n",
     {"'8d' is out of range"}},
    {"version: 1\ndaemon: {dpdk: {workers: [1, 1], ports: [{name: a, device: \"0000:3b:00.8\"}]}}\n",
     {"core 1 is named twice", "'0000:3b:00.8' is no device"}},
    {"version: 1\ndaemon: {flows: 5, dpdk: {workers: [1], ports: [{name: a, device: eth0}]}}\n",
     {"2:17: daemon.flows: flows 5 must be 0 (no tracking, hash only) or 1024 to 268435456"}},
    {"version: 1\ndaemon: {flows: -1, dpdk: {workers: [1], ports: [{name: a, device: eth0}]}}\n",
     {"daemon.flows: flows '-1' must be a whole number from 0 to 268435456"}},
    {"version: 1\ndaemon: {access: 5, metrics: off, dpdk: {cores: [1]}}\n",
     {"2:18: daemon.access: must hold operator and viewer, not", "`metrics` is not in this version",
      "`cores` is `workers` here", "daemon.dpdk.workers: no workers", "daemon.dpdk.ports: no ports"}},
    {"version: 1\ndaemon: {dpdk: {workers: [1], huge-pages: true, idle: busy, ports: [{name: a, iface: eth0}]}}\n",
     {"huge-pages 'true' is `on` here", "idle 'busy' is `poll` here", "`iface` is `device` here"}},
    {"version: 1\ndaemon: {access: {operator: [root, \"%\", root, 007, -x], viewers: []}, engine: xdp, xdp: "
     "{interfaces: [{name: "
     "eth0}]}}\n",
     {"2:36: daemon.access.operator[1]: '%' is no user and no group: write alice or 1001 for a user",
      "2:41: daemon.access.operator[2]: 'root' is [0] already", "'007' is no number of a user: it must be 0 to",
      "'-x' is no user and no group", "`viewers` is `viewer` here"}},
    {"version: 1\ndaemon: {access: {operator: lbd, viewer: [[a], 65534]}, dpdk: {workers: [1], ports: [{name: a, "
     "device: "
     "eth0}]}}\n",
     {"daemon.access.operator: must be a list (users and groups, such as [root, \"%lbd\"])",
      "daemon.access.viewer[0]: must be a user or a %group, not", "'65534' is what the kernel calls everybody"}},
    {"version: 1\ninclude: [a.yaml]\n", {"2:11: include[0]: 'a.yaml' is not followed here"}},
    {"version: 1\ninclude: [\"a\\nb\"]\n", {"2:11: include[0]: 'a\\x0ab' is no path on one line"}},
    {"version: 1\npools: {fe: {backends: [{name: a, address: \"10.0\\n.0.1\"}]}}\n", {"'10.0\\x0a.0.1' is not an IP"}},
    {"version: 1\npools: {fe: {}}\nservices: {web: {listen: [\"192.0.2.1:80\\n/tcp\"], pool: fe}}\n",
     {"'192.0.2.1:80\\x0a/tcp' is not a listener"}},
    {"version: 1\ninclude: a.yaml\n", {"must be a list ([/etc/lbd/lbd.d/*.yaml])"}},
};
TEST(ConfigText, ReadsTheXdpEngine) {
  const Parsed parsed = parse_config(
      "version: 1\ndaemon:\n  engine: xdp\n  orphan-after: 5m\n  xdp:\n    interfaces:\n      - {name: eth0}\n"
      "      - {name: \"5\", mode: generic}\n",
      "lbd.yaml", no_includes());
  ASSERT_TRUE(parsed.problems.empty()) << parsed.problems[0].to_string();
  EXPECT_EQ(parsed.config.daemon.interfaces,
            (std::vector<XdpInterface>{{"eth0", XdpMode::kNative}, {"5", XdpMode::kGeneric}}));
  EXPECT_EQ(parsed.config.daemon.orphan_after_s, 300u);
  EXPECT_EQ(print_config(parsed.config),
            "version: 1\ndaemon:\n  engine: xdp\n  orphan-after: 300s\n  xdp:\n    interfaces:\n"
            "      - {name: eth0, mode: native}\n      - {name: \"5\", mode: generic}\n");
  const Parsed never =
      parse_config("version: 1\ndaemon: {engine: xdp, orphan-after: never, xdp: {interfaces: [{name: eth0}]}}\n",
                   "lbd.yaml", no_includes());
  ASSERT_TRUE(never.problems.empty()) << never.problems[0].to_string();
  EXPECT_EQ(never.config.daemon.orphan_after_s, 0u);
}

INSTANTIATE_TEST_SUITE_P(Values, ConfigTextBad, testing::ValuesIn(kBadValues));

const std::vector<BadCase> kBadYaml = {
    {"version: 1\npools: {\n", {"not YAML: end of map flow not found"}},
    {"version: 1\n\tpools: {}\n", {"2:1: a tab indents this line"}},
    {"version: 1\npools: &a {}\n", {"2:8: an anchor (`&name`) is not read here"}},
    {"version: 1\npools: &a {}\nservices: *a\n", {"an anchor", "3:11: an alias (`*name`) is not read here"}},
    {"version: 1\npools: {<<: *a}\n", {"2:13: not YAML: the referenced anchor is not defined"}},
    {"version: !!int 1\n", {"a tag ('tag:yaml.org,2002:int') is not read here"}},
    {"version: 1\n---\nversion: 1\n", {"3:1: a second document"}},
    {std::string("version: 1\0\n", 12), {"1:11: byte 0x00 is no printable UTF-8 text"}},
    {"version: 1\npools: {\xff: {}}\n", {"2:9: byte 0xff is no printable"}},
    {"version: 1\npools: {\xed\xa0\x80: {}}\n", {"2:9: byte 0xed is no printable"}},
    {"\x7f"
     "ELF",
     {"1:1: byte 0x7f is no printable"}},
    {"version: 1\nservices:\n  web:\n    listen:\n      - [2001:db8::10]:443/tcp\n",
     {"an IPv6 listener needs quotes: \"[2001:db8::10]:443/tcp\""}},
    {std::string(40, '['), {"nested more than 16 levels deep"}},
    {"version: 1\npools: \"" + std::string(70000, 'x') + "\"\n", {"2:1: the line has 70,009 bytes; at most 65,536"}},
    {std::string((16u << 20) + 1, '\n'), {"t.yaml: the document has 16,777,217 bytes; at most 16,777,216 are read"}},
};
INSTANTIATE_TEST_SUITE_P(Yaml, ConfigTextBad, testing::ValuesIn(kBadYaml));

TEST(ConfigText, TakesByteOrderMarkAndCarriageReturns) {
  EXPECT_EQ(told(parse("\xef\xbb\xbfversion: 1\r\npools:\r\n  fe: {backends: []}\r\n")), "");
}

TEST(ConfigText, TellsEveryProblemInOnePassInDocumentOrder) {
  const Parsed p = parse(
      "version: 1\nservices:\n  web: {listen: [192.0.2.1:80/tcp], pool: nope}\n  two: {listen: [192.0.2.1:80/tcp], "
      "pool: fe}\n"
      "pools:\n  fe:\n    backends:\n      - {name: a, address: 192.0.2.1, weight: 2000}\n      - {name: a, address: "
      "10.0.0.1}\n");
  ASSERT_EQ(p.problems.size(), 5u) << told(p);
  EXPECT_EQ(p.problems[0].path, "services.web.listen[0]");  // of two, the later by name
  EXPECT_EQ(p.problems[1].path, "services.web.pool");
  EXPECT_EQ(p.problems[2].path, "pools.fe.backends[0].address");
  EXPECT_EQ(p.problems[3].path, "pools.fe.backends[0].weight");
  EXPECT_EQ(p.problems[4].path, "pools.fe.backends[1].name");
  for (size_t i = 1; i < p.problems.size(); ++i)
    EXPECT_LE(std::tuple(p.problems[i - 1].line, p.problems[i - 1].column),
              std::tuple(p.problems[i].line, p.problems[i].column));
}

TEST(ConfigText, PathsCountAsInTheDocumentThoughBackendsAreSorted) {
  const Parsed p =
      parse("version: 1\npools: {fe: {backends: [{name: z, address: 127.0.0.1}, {name: a, address: 10.0.0.1}]}}\n");
  ASSERT_EQ(p.problems.size(), 1u);
  EXPECT_EQ(p.problems[0].path, "pools.fe.backends[0].address");
  EXPECT_EQ(std::tuple(p.problems[0].line, p.problems[0].column), std::tuple(2, 44));
}

TEST(ConfigText, AThousandProblemsAreEnough) {
  std::string text = "version: 1\npools:\n  fe:\n    backends:\n";
  for (int i = 0; i < 1500; ++i) text += fmt::format("      - {{name: b{}, address: x}}\n", i);
  const Parsed p = parse(text);
  EXPECT_EQ(p.problems.size(), 1001u);
  EXPECT_NE(told(p).find("more problems than are shown"), std::string::npos);
}

TEST(ConfigText, IncludesFilesBesideTheMainOne) {
  const Reader reader = files({{"/etc/lbd/lbd.d/a.yaml", "pools: {fe: {}}\n"},
                               {"/etc/lbd/lbd.d/b.yaml", "services: {web: {listen: [192.0.2.1:80/tcp], pool: fe}}\n"},
                               {"/etc/lbd/lbd.d/c.yaml", ""},
                               {"/etc/lbd/one.yaml", "version: 1\n"}});
  const Parsed p = parse_config(
      "version: 1\ninclude: [lbd.d/*, one.yaml, /etc/lbd/lbd.d/a.yaml, none.d/*]\ndefaults: {schedule: source-hash}\n",
      "/etc/lbd/lbd.yaml", reader);
  ASSERT_EQ(told(p), "");
  EXPECT_EQ(p.files, (std::vector<std::string>{"/etc/lbd/lbd.yaml", "/etc/lbd/lbd.d/a.yaml", "/etc/lbd/lbd.d/b.yaml",
                                               "/etc/lbd/lbd.d/c.yaml", "/etc/lbd/one.yaml"}));
  EXPECT_EQ(p.config.services.at("web").schedule, Schedule::kSourceHash);
}

TEST(ConfigText, TellsProblemsOfIncludedFilesInTheirPlace) {
  const Reader reader = files({{"a.yaml", "pools:\n  fe: {}\n"},
                               {"b.yaml", "version: 1\npools:\n  fe: {}\ndaemon: {}\ninclude: [a.yaml]\nbogus: 1\n"},
                               {"c.yaml", "services: [\n"}});
  const Parsed p = parse_config("version: 1\ninclude: [a.yaml, b.yaml, c.yaml, d.yaml]\n", "m.yaml", reader);
  const std::string all = told(p);
  EXPECT_EQ(p.problems.size(), 6u) << all;
  for (const char* sentence : {"m.yaml:2:35: include[3]: no such file: 'd.yaml'",
                               "b.yaml:3:3: pools.fe: a pool of that name stands in a.yaml:2:3",
                               "b.yaml:4:1: daemon: `daemon` stands in the main file only",
                               "b.yaml:5:1: include: `include` stands in the main",
                               "b.yaml:6:1: bogus: unknown key `bogus`", "c.yaml:2:1: not YAML"})
    EXPECT_NE(all.find(sentence), std::string::npos) << sentence << "\n" << all;
}

TEST(ConfigText, RefusesAFileThatIncludesItself) {
  const Reader reader = files({{"/x/m.yaml", "version: 1\n"}});
  const Parsed p = parse_config("version: 1\ninclude: [\"*\"]\n", "/x/m.yaml", reader);
  EXPECT_NE(told(p).find("'/x/m.yaml' includes itself"), std::string::npos) << told(p);
}

TEST(ConfigText, AMissingPoolIsNotToldWhenAFileIsMissing) {
  const Parsed p = parse_config(
      "version: 1\ninclude: [a.yaml]\nservices: {web: {listen: [192.0.2.1:80/tcp], pool: fe}}\n", "m.yaml", files({}));
  ASSERT_EQ(p.problems.size(), 1u) << told(p);
  EXPECT_EQ(p.problems[0].path, "include[0]");
}

class FolderTest : public testing::Test {
 protected:
  FolderTest() : folder_(std::filesystem::temp_directory_path() / fmt::format("lbd-config-{}", ::getpid())) {
    std::filesystem::create_directories(folder_ / "lbd.d");
  }
  ~FolderTest() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  std::filesystem::path folder_;
};

TEST_F(FolderTest, LoadsFromTheFileSystem) {
  write("lbd.d/b.yaml", "pools: {b: {}}\n");
  write("lbd.d/a.yaml", "pools: {a: {}}\n");
  write("lbd.d/other.txt", "not read");
  const std::string main = write("lbd.yaml", "version: 1\ninclude: [lbd.d/*.yaml, gone/*.yaml]\n");
  const Parsed p = load_config(main, file_reader());
  ASSERT_EQ(told(p), "");
  EXPECT_EQ(p.config.pools.size(), 2u);
  ASSERT_EQ(p.files.size(), 3u);
  EXPECT_EQ(p.files[1], (folder_ / "lbd.d/a.yaml").string());
}

TEST_F(FolderTest, TellsWhatCannotBeRead) {
  const Parsed gone = load_config((folder_ / "gone.yaml").string(), file_reader());
  EXPECT_NE(told(gone).find("gone.yaml': No such file or directory"), std::string::npos) << told(gone);
  const Parsed folder = load_config(folder_.string(), file_reader());
  EXPECT_NE(told(folder).find("Is a directory"), std::string::npos) << told(folder);
  const Parsed endless = load_config("/dev/zero", file_reader());
  EXPECT_NE(told(endless).find("at most 16,777,216 are read"), std::string::npos) << told(endless);
}

TEST(ConfigText, PrintedConfigurationsReadBackTheSame) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  RandomConfig random(seed);
  for (int i = 0; i < 500; ++i) {
    const Config config = random.make();
    const std::string text = print_config(config);
    const Parsed p = parse(text);
    ASSERT_EQ(told(p), "") << text;
    ASSERT_EQ(p.config, config) << text;
    ASSERT_EQ(print_config(p.config), text);
    const Parsed services = parse(print_services(config));
    ASSERT_EQ(told(services), "");
    ASSERT_EQ(services.config.pools, config.pools);
    ASSERT_EQ(services.config.services, config.services);
    ASSERT_FALSE(services.has_daemon);
  }
}

TEST(ConfigText, PrintsShort) {
  EXPECT_EQ(print_config({}), "version: 1\n");
  EXPECT_EQ(
      print_services(parse(with_service("")).config),
      "version: 1\npools:\n  fe:\n    backends: []\nservices:\n  web:\n    listen:\n      - \"192.0.2.10:80/tcp\"\n"
      "    pool: fe\n");
}

TEST(ConfigText, ErrorsAsOneText) {
  const Parsed p = parse("version: 2\nbogus: 1\n");
  const net::Error error = to_error(p.problems);
  EXPECT_EQ(error.code, net::Code::kInvalid);
  EXPECT_EQ(error.message,
            "t.yaml:1:10: version: version 2 of the document is not known here: this lbd reads 1\n"
            "t.yaml:2:1: bogus: unknown key `bogus`; the document knows: version, include, daemon, defaults, pools, "
            "services");
}

// The time is recorded, not judged: about 0.6 s of one core of a small machine, the budget is 2 s.
TEST(ConfigText, ReadsTwentyThousandBackends) {
  std::string text = "version: 1\npools:\n";
  for (int p = 0; p < 200; ++p) {
    text += fmt::format("  p{}:\n    backends:\n", p);
    for (int b = 1; b <= 100; ++b)
      text += fmt::format("      - {{name: b{}, address: 10.{}.{}.{}, weight: {}, labels: {{rack: r{}}}}}\n", b,
                          p / 100, p % 100, b, b, b % 7);
  }
  text += "services:\n";
  for (int s = 0; s < 1000; ++s)
    text += fmt::format("  s{}: {{listen: [\"192.0.{}.{}:80/tcp\"], pool: p{}}}\n", s, s / 250, s % 250, s % 200);
  const std::clock_t start = std::clock();
  const Parsed p = parse(text);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  ASSERT_EQ(told(p), "");
  EXPECT_EQ(p.config.services.size(), 1000u);
  RecordProperty("cpu_seconds", std::to_string(seconds));
}

// Every example of the manual is read as it stands there.
TEST(ConfigDocs, ExamplesParse) {
  std::ifstream in(LB_CONFIG_DOCS);
  ASSERT_TRUE(in) << LB_CONFIG_DOCS;
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  size_t examples = 0;
  static const std::string kOpen = "```yaml\n";
  for (size_t at = text.find(kOpen); at != std::string::npos; at = text.find(kOpen, at)) {
    at += kOpen.size();
    const size_t end = text.find("```", at);
    ASSERT_NE(end, std::string::npos);
    const std::string example = text.substr(at, end - at);
    const Reader nothing = files({});
    EXPECT_EQ(told(parse_config(example, "docs/config.md", nothing)), "") << example;
    at = end;
    ++examples;
  }
  EXPECT_GE(examples, 5u);
}

// Every setting of the document has its line in the manual.
TEST(ConfigDocs, NameEverySetting) {
  std::ifstream in(LB_CONFIG_DOCS);
  ASSERT_TRUE(in) << LB_CONFIG_DOCS;
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  for (const char* key :
       {"version",  "include",    "engine",        "socket",   "state-dir",      "hash-key-file", "hash-version",
        "workers",  "huge-pages", "idle",          "ports",    "device",         "mtu",           "forward",
        "schedule", "table-size", "source-prefix", "backends", "name",           "address",       "weight",
        "labels",   "listen",     "pool",          "flows",    "on-no-listener", "access"})
    EXPECT_NE(text.find(fmt::format("\n| `{}` |", key)), std::string::npos) << key;
}

}  // namespace
}  // namespace lb::model
