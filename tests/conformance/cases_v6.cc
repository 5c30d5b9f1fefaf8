// IPv6 clients: what is forwarded, and its bytes.
#include "tests/conformance/case_words.h"

namespace lb::conformance {
namespace {

Packet tcp(std::string_view vip, const packet::Ip6& ip = {}, const packet::Tcp& t = {}, uint16_t sport = 40000) {
  return ip6(kClient6, vip, ip).tcp(sport, 80, t).payload("GET / HTTP/1.1");
}

void ipip(CaseList& l) {
  static constexpr std::string_view vip = "2001:db8::10";
  const auto expect = [](const Packet& inner, uint8_t tos = 0) {
    return forwarded(tunnel4(to_b11(), inner, "10.0.0.11", tos), kLan, "web", "p4/b11");
  };
  l.add("6 in 4: a SYN", in(tcp(vip)), expect(tcp(vip, {.hop_limit = 63})));
  l.add("6 in 4: data", in(tcp(vip, {}, {.flags = 0x18})), expect(tcp(vip, {.hop_limit = 63}, {.flags = 0x18})));
  l.add("6 in 4: DSCP, ECN and flow label", in(tcp(vip, {.tos = 0xb9, .label = 0xabcde})),
        expect(tcp(vip, {.tos = 0xb9, .hop_limit = 63, .label = 0xabcde}), 0xb9));
  for (const uint8_t tos : Octets{0x01, 0x02, 0x03, 0x28, 0xb8, 0xff}) {
    const auto with = [tos](uint8_t hops, std::string_view to) { return tcp(to, {.tos = tos, .hop_limit = hops}); };
    l.add("6 in 4: DSCP and ECN " + std::to_string(tos), in(with(64, vip)), expect(with(63, vip), tos));
    l.add("6 in 6: DSCP and ECN " + std::to_string(tos), in(with(64, "2001:db8::16")),
          forwarded(tunnel6(to_b12(), with(63, "2001:db8::16"), 0x637cd, tos), kLan, "web6", "p6/b12"));
  }
  l.add("6 in 4: hop limit 2", in(tcp(vip, {.hop_limit = 2})), expect(tcp(vip, {.hop_limit = 1})));
  l.add("6 in 4: hop limit 255", in(tcp(vip, {.hop_limit = 255})), expect(tcp(vip, {.hop_limit = 254})));
  l.add("6 in 4: padding is cut", in(tcp(vip)).padding(9), expect(tcp(vip, {.hop_limit = 63})));
  l.add("6 in 4: a tag is taken off", eth().vlan(4094).then(tcp(vip)), expect(tcp(vip, {.hop_limit = 63})));
  const auto udp = [](uint8_t hops) {
    return ip6(kClient6, vip, {.hop_limit = hops}).udp(40000, 53).payload("question");
  };
  l.add("6 in 4: UDP", in(udp(64)), expect(udp(63)));

  const auto six = [](const Packet& inner, uint32_t label, uint8_t tos = 0) {
    return forwarded(tunnel6(to_b12(), inner, label, tos), kLan, "web6", "p6/b12");
  };
  l.add("6 in 6: a SYN", in(tcp("2001:db8::16")), six(tcp("2001:db8::16", {.hop_limit = 63}), 0x637cd));
  l.add("6 in 6: the outer flow label is the hash's, not the client's",
        in(tcp("2001:db8::16", {.tos = 0x03, .label = 0x12345})),
        six(tcp("2001:db8::16", {.tos = 0x03, .hop_limit = 63, .label = 0x12345}), 0x637cd, 0x03));
  const auto udp6 = [](uint8_t hops) { return ip6(kClient6, "2001:db8::16", {.hop_limit = hops}).udp(40000, 53); };
  l.add("6 in 6: UDP", in(udp6(64)), six(udp6(63), 0xfce69));
}

void extensions(CaseList& l) {
  static constexpr std::string_view vip = "2001:db8::10";
  const auto add = [&](const std::string& name, auto headers) {
    const auto packet = [&](uint8_t hops) {
      Packet p = ip6(kClient6, vip, {.hop_limit = hops});
      headers(p);
      return p.tcp(40000, 80);
    };
    l.add("v6: " + name, in(packet(64)), forwarded(tunnel4(to_b11(), packet(63)), kLan, "web", "p4/b11"));
  };
  add("hop-by-hop options", [](Packet& p) { p.extension(0, 8); });
  add("destination options", [](Packet& p) { p.extension(60, 24); });
  add("a routing header", [](Packet& p) { p.extension(43, 24); });
  add("an authentication header of 12 bytes", [](Packet& p) { p.extension(51, 12); });
  add("an authentication header of 28 bytes", [](Packet& p) { p.extension(51, 28); });
  add("a mobility header", [](Packet& p) { p.extension(135, 8); });
  add("an atomic fragment", [](Packet& p) { p.fragment6(0, false); });
  add("eight headers", [](Packet& p) {
    for (int i = 0; i < 8; i++) p.extension(i == 0 ? 0 : 60, 8);
  });
  add("256 bytes in one header", [](Packet& p) { p.extension(60, 256); });
  add("256 bytes in four headers", [](Packet& p) {
    for (int i = 0; i < 4; i++) p.extension(60, 64);
  });
}

void dsr(CaseList& l) {
  static constexpr std::string_view vip = "2001:db8::20";
  const auto expect = [](const Packet& ip) { return forwarded(to_b12().then(ip), kLan, "direct6", "p6/b12"); };
  l.add("dsr v6: a SYN", in(tcp(vip)), expect(tcp(vip, {.hop_limit = 63})));
  l.add("dsr v6: traffic class and flow label stay", in(tcp(vip, {.tos = 0x2e, .label = 0xfffff})),
        expect(tcp(vip, {.tos = 0x2e, .hop_limit = 63, .label = 0xfffff})));
  l.add("dsr v6: two tags and padding", eth().vlan(5, 0x88a8).vlan(6).then(tcp(vip)).padding(3),
        expect(tcp(vip, {.hop_limit = 63})));
  const auto udp = [](uint8_t hops) {
    return ip6(kClient6, vip, {.hop_limit = hops}).extension(0).udp(40000, 53).payload("q");
  };
  l.add("dsr v6: UDP behind hop-by-hop options", in(udp(64)), expect(udp(63)));
}

void listeners(CaseList& l) {
  static constexpr std::string_view vip = "2001:db8::30";
  const auto udp = [](uint16_t port, uint8_t hops) { return ip6(kClient6, vip, {.hop_limit = hops}).udp(40000, port); };
  l.add("v6: exact port before range and any", in(udp(8050, 64)),
        forwarded(tunnel4(to_b11(), udp(8050, 63)), kLan, "exact", "p4/b11"));
  for (const uint16_t port : Ports{8000, 8100})
    l.add("v6: port range before any, " + std::to_string(port), in(udp(port, 64)),
          forwarded(tunnel4(to_gateway(), udp(port, 63), "10.9.0.13"), kLan, "range", "far/b13"));
  l.add("v6: any port", in(udp(9000, 64)), forwarded(tunnel6(to_b12(), udp(9000, 63), 0x387d3), kLan, "any", "p6/b12"));
}

// As in cases_v4.cc, worked out by another program.
void chosen(CaseList& l) {
  Case flows{.name = "v6: each flow to the backend that its hash names", .world = &edge(), .steps = {}};
  const std::pair<const Chosen*, uint32_t> by_port[] = {{&kM1, 0},       {&kM1, 0},       {&kM1, 0}, {&kM1, 0},
                                                        {&kM3, 0x4050e}, {&kM3, 0xb82fc}, {&kM2, 0}, {&kM1, 0}};
  for (uint16_t i = 0; i < 8; i++) {
    const auto sport = static_cast<uint16_t>(40000 + i);
    flows.steps.push_back(
        {in(tcp("2001:db8::60", {}, {}, sport)),
         tunnelled(*by_port[i].first, tcp("2001:db8::60", {.hop_limit = 63}, {}, sport), by_port[i].second, "spread")});
  }
  l.add(flows);

  Case sources{.name = "v6: source-hash sees the first 64 bits of the source", .world = &edge(), .steps = {}};
  const auto from = [](std::string_view src, uint8_t hops, uint16_t sport) {
    return ip6(src, "2001:db8::61", {.hop_limit = hops}).tcp(sport, 80);
  };
  struct Source {
    std::string_view address;
    const Chosen* backend;
    uint32_t labels[2];  // of its flows from ports 1024 and 65535, when the backend is an IPv6 one
  };
  const Source by_source[] = {{"2001:db8:c::7", &kM3, {0xe25fd, 0x563ec}},
                              {"2001:db8:c::8", &kM3, {0x9fb68, 0xfd9c3}},
                              {"2001:db8:c:0:ffff::1", &kM3, {0xb5981, 0xe0f43}},
                              {"2001:db8:c:1::7", &kM2, {0, 0}},
                              {"2001:db8:d::7", &kM2, {0, 0}}};
  for (const Source& s : by_source)
    for (const size_t k : {size_t{0}, size_t{1}}) {
      const uint16_t sport = k == 0 ? 1024 : 65535;
      sources.steps.push_back(
          {in(from(s.address, 64, sport)), tunnelled(*s.backend, from(s.address, 63, sport), s.labels[k], "sticky")});
    }
  l.add(sources);
}

}  // namespace

std::vector<Case> cases_v6() {
  CaseList l(edge());
  ipip(l);
  extensions(l);
  dsr(l);
  listeners(l);
  chosen(l);
  return l.take();
}

}  // namespace lb::conformance
