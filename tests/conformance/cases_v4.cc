// IPv4 clients: what is forwarded, and its bytes.
#include "tests/conformance/case_words.h"

namespace lb::conformance {
namespace {

Packet tcp(std::string_view vip, packet::Ip4 ip = {}, const packet::Tcp& t = {}, uint16_t sport = 40000) {
  return ip4(kClient4, vip, ip).tcp(sport, 80, t).payload("GET / HTTP/1.1");
}
packet::Ip4 one_less(packet::Ip4 ip) {
  ip.ttl--;
  return ip;
}

void ipip(CaseList& l) {
  const auto expect = [](const Packet& inner, uint8_t tos = 0) {
    return forwarded(tunnel4(to_b11(), inner, "10.0.0.11", tos), kLan, "web", "p4/b11");
  };
  static constexpr std::string_view vip = "192.0.2.10";
  const auto add = [&](const std::string& name, const packet::Ip4& ip, const packet::Tcp& t = {}, uint8_t tos = 0) {
    l.add("4 in 4: " + name, in(tcp(vip, ip, t)), expect(tcp(vip, one_less(ip), t), tos));
  };
  add("a SYN", {});
  add("data", {.ttl = 57, .id = 4711}, {.flags = 0x18, .seq = 5, .ack = 9});
  add("TCP options", {}, {.options = {2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2}});
  add("the longest TCP header", {}, {.flags = 0x10, .options = packet::Bytes(40, 1)});
  add("RST", {}, {.flags = 0x04});
  add("a wrong TCP checksum is the backend's to judge", {}, {.csum = 0xbeef});
  add("no DF: the outer header has it all the same", {.id = 77, .df = false});
  add("DSCP EF and ECN CE are copied", {.tos = 0xbb}, {}, 0xbb);
  add("TTL 2", {.ttl = 2});
  add("TTL 255", {.ttl = 255});
  add("an IP option", {.options = {0x94, 4, 0, 0}});
  add("the longest IP header", {.options = packet::Bytes(40, 1)});

  l.add("4 in 4: padding is cut", in(ip4(kClient4, vip).tcp(40000, 80)).padding(6),
        expect(ip4(kClient4, vip, {.ttl = 63}).tcp(40000, 80)));
  l.add("4 in 4: a tag is taken off", eth().vlan(100).then(tcp(vip)), expect(tcp(vip, {.ttl = 63})));
  l.add("4 in 4: priority bits and VLAN 0", eth().vlan(0xe000).then(tcp(vip)), expect(tcp(vip, {.ttl = 63})));
  l.add("4 in 4: an 802.1ad tag", eth().vlan(100, 0x88a8).then(tcp(vip)), expect(tcp(vip, {.ttl = 63})));
  l.add("4 in 4: two tags", eth().vlan(100, 0x88a8).vlan(200).then(tcp(vip)).padding(4), expect(tcp(vip, {.ttl = 63})));
  const auto udp = [&](uint8_t ttl, const packet::Udp& u = {}) {
    return ip4(kClient4, vip, {.ttl = ttl}).udp(40000, 53, u).payload("question");
  };
  l.add("4 in 4: UDP", in(udp(64)), expect(udp(63)));
  l.add("4 in 4: UDP without checksum", in(udp(64, {.csum = 0})), expect(udp(63, {.csum = 0})));
  l.add("4 in 4: UDP shorter than its packet", in(udp(64, {.length = 12})), expect(udp(63, {.length = 12})));
  l.add("4 in 4: an empty datagram", in(ip4(kClient4, vip).udp(40000, 53)).padding(18),
        expect(ip4(kClient4, vip, {.ttl = 63}).udp(40000, 53)));
  l.add("4 in 4: the next hop is a gateway", in(tcp("192.0.2.25")),
        forwarded(tunnel4(to_gateway(), tcp("192.0.2.25", {.ttl = 63}), "10.9.0.13"), kLan, "far", "far/b13"));
  // RFC 2983 and RFC 6040 section 4.1, normal mode: every codepoint is copied, congestion experienced too.
  for (const uint8_t tos : Octets{0x01, 0x02, 0x03, 0x28, 0xb8, 0xff}) {
    const auto with = [tos](uint8_t ttl, std::string_view to) { return tcp(to, {.tos = tos, .ttl = ttl}); };
    l.add("4 in 4: DSCP and ECN " + std::to_string(tos), in(with(64, vip)), expect(with(63, vip), tos));
    l.add("4 in 6: DSCP and ECN " + std::to_string(tos), in(with(64, "192.0.2.16")),
          forwarded(tunnel6(to_b12(), with(63, "192.0.2.16"), 0x213c6, tos), kLan, "web6", "p6/b12"));
  }
  // RFC 6864 section 4.1: what may not be fragmented needs no id; what the inner packet says of itself stays inside.
  l.add("4 in 4: an inner packet with an id that may be fragmented", in(tcp(vip, {.id = 4711, .df = false})),
        expect(tcp(vip, {.ttl = 63, .id = 4711, .df = false})));
  l.add("4 in 6: a SYN", in(tcp("192.0.2.16")),
        forwarded(tunnel6(to_b12(), tcp("192.0.2.16", {.ttl = 63}), 0x213c6), kLan, "web6", "p6/b12"));
  l.add(
      "4 in 6: DSCP and ECN", in(tcp("192.0.2.16", {.tos = 0x2d})),
      forwarded(tunnel6(to_b12(), tcp("192.0.2.16", {.tos = 0x2d, .ttl = 63}), 0x213c6, 0x2d), kLan, "web6", "p6/b12"));
}

void dsr(CaseList& l) {
  static constexpr std::string_view vip = "192.0.2.20";
  const auto expect = [](const Packet& ip) { return forwarded(to_b11().then(ip), kLan, "direct4", "p4/b11"); };
  l.add("dsr v4: a SYN", in(tcp(vip)), expect(tcp(vip, {.ttl = 63})));
  l.add("dsr v4: TOS, id and options stay", in(tcp(vip, {.tos = 0x1d, .id = 9, .df = false, .options = {1, 1, 1, 0}})),
        expect(tcp(vip, {.tos = 0x1d, .ttl = 63, .id = 9, .df = false, .options = {1, 1, 1, 0}})));
  l.add("dsr v4: padding is cut", in(ip4(kClient4, vip).udp(40000, 53)).padding(18),
        expect(ip4(kClient4, vip, {.ttl = 63}).udp(40000, 53)));
  l.add("dsr v4: two tags are taken off", eth().vlan(5, 0x88a8).vlan(6).then(tcp(vip)), expect(tcp(vip, {.ttl = 63})));
  l.add("dsr v4: out of the port it came in by", in(tcp("192.0.2.21")),
        forwarded(eth(kB14Mac, packet::kPortMac).then(tcp("192.0.2.21", {.ttl = 63})), kWan, "back", "hairpin/b14"));
}

void listeners(CaseList& l) {
  static constexpr std::string_view vip = "192.0.2.30";
  const auto udp = [](uint16_t port, uint8_t ttl) { return ip4(kClient4, vip, {.ttl = ttl}).udp(40000, port); };
  l.add("v4: exact port before range and any", in(udp(8050, 64)),
        forwarded(tunnel4(to_b11(), udp(8050, 63)), kLan, "exact", "p4/b11"));
  for (const uint16_t port : Ports{8000, 8049, 8051, 8100})
    l.add("v4: port range before any, " + std::to_string(port), in(udp(port, 64)),
          forwarded(tunnel4(to_gateway(), udp(port, 63), "10.9.0.13"), kLan, "range", "far/b13"));
  const std::pair<uint16_t, uint32_t> others[] = {{7999, 0x8e52b}, {8101, 0x17e1e}, {9000, 0x8840b}};
  for (const auto& [port, label] : others)
    l.add("v4: any port, " + std::to_string(port), in(udp(port, 64)),
          forwarded(tunnel6(to_b12(), udp(port, 63), label), kLan, "any", "p6/b12"));
}

// The tables and hashes behind these were worked out by another program from the papers alone: hash-version 1 is
// frozen, and a fleet that upgrades node by node relies on it.
void chosen(CaseList& l) {
  Case flows{.name = "v4: each flow to the backend that its hash names", .world = &edge(), .steps = {}};
  const std::pair<const Chosen*, uint32_t> by_port[] = {{&kM1, 0}, {&kM3, 0xe9d61}, {&kM3, 0x03e6d}, {&kM2, 0},
                                                        {&kM1, 0}, {&kM2, 0},       {&kM1, 0},       {&kM3, 0x9ddc5}};
  for (uint16_t round = 0; round < 2; round++)  // the same again: nothing depends on what came before
    for (uint16_t i = 0; i < 8; i++) {
      const auto sport = static_cast<uint16_t>(40000 + i);
      flows.steps.push_back(
          {in(tcp("192.0.2.60", {}, {}, sport)),
           tunnelled(*by_port[i].first, tcp("192.0.2.60", {.ttl = 63}, {}, sport), by_port[i].second, "spread")});
    }
  l.add(flows);

  Case sources{.name = "v4: source-hash sees the source alone", .world = &edge(), .steps = {}};
  const auto from = [](std::string_view src, std::string_view vip, uint8_t ttl, uint16_t sport) {
    return ip4(src, vip, {.ttl = ttl}).tcp(sport, 80);
  };
  const std::pair<std::string_view, const Chosen*> by_source[] = {
      {"198.51.100.7", &kM1}, {"198.51.100.8", &kM3}, {"198.51.100.9", &kM1}, {"198.51.100.200", &kM2}};
  // One backend for all flows of a source, and still a flow label for each of them.
  const std::pair<uint16_t, uint32_t> by_sport[] = {{1024, 0x4b50d}, {40000, 0x7ce3c}, {65535, 0xbd7e4}};
  for (const auto& [src, backend] : by_source)
    for (const auto& [sport, label] : by_sport)
      sources.steps.push_back({in(from(src, "192.0.2.61", 64, sport)),
                               tunnelled(*backend, from(src, "192.0.2.61", 63, sport), label, "sticky")});
  const auto udp = [](uint8_t ttl) { return ip4(kClient4, "192.0.2.61", {.ttl = ttl}).udp(9, 53); };
  sources.steps.push_back({in(udp(64)), tunnelled(kM1, udp(63), 0, "sticky")});
  const std::pair<std::string_view, uint32_t> by_site[] = {{"198.51.100.7", 0xe750a}, {"198.51.100.200", 0xe05d7}};
  for (const auto& [src, label] : by_site)  // prefix 24: both the same
    sources.steps.push_back(
        {in(from(src, "192.0.2.62", 64, 5)), tunnelled(kM3, from(src, "192.0.2.62", 63, 5), label, "site")});
  l.add(sources);
}

}  // namespace

std::vector<Case> cases_v4() {
  CaseList l(edge());
  ipip(l);
  dsr(l);
  listeners(l);
  chosen(l);
  return l.take();
}

}  // namespace lb::conformance
