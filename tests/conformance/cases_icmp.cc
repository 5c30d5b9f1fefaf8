// ICMP errors: to the backend that has the quoted flow, or that its hash names.
#include "tests/conformance/case_words.h"

namespace lb::conformance {
namespace {

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10";
constexpr std::string_view kRouter4 = "203.0.113.1", kRouter6 = "2001:db8:9::1";

// The head of an IP packet.
std::string quote(const Packet& p, size_t bytes = 1000) {
  const packet::Bytes whole = p.bytes();
  return {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(std::min(bytes, whole.size()))};
}
Packet error4(std::string_view vip, const std::string& quoted, uint8_t ttl = 64, uint8_t type = 3) {
  return ip4(kRouter4, vip, {.tos = 0xc0, .ttl = ttl}).icmp(type, 4, 1400).payload(quoted);
}
Packet error6(std::string_view vip, const std::string& quoted, uint8_t hops = 64, uint8_t type = 2) {
  return ip6(kRouter6, vip, {.hop_limit = hops}).icmp6(type, 0, 1400).payload(quoted);
}
// What the backend has sent to the client.
Packet reply4(std::string_view vip, uint16_t port = 40000) {
  return ip4(vip, kClient4).tcp(80, port, {.flags = 0x10}).payload_size(600);
}
Packet reply6(std::string_view vip, uint16_t port = 40000) {
  return ip6(vip, kClient6).tcp(80, port, {.flags = 0x10}).payload_size(600);
}
Expect to_web(const Packet& error, uint8_t tos = 0) {
  return forwarded(tunnel4(to_b11(), error, "10.0.0.11", tos), kLan, "web", "p4/b11");
}

void every_kind(CaseList& l) {
  for (const uint8_t type : Octets{3, 11, 12})
    l.add("v4: ICMP error " + std::to_string(type) + ", 8 bytes of TCP quoted",
          in(error4(kVip4, quote(reply4(kVip4), 28), 64, type)),
          to_web(error4(kVip4, quote(reply4(kVip4), 28), 63, type), 0xc0));
  for (const uint8_t type : Octets{1, 2, 3, 4})
    l.add("v6: ICMPv6 error " + std::to_string(type), in(error6(kVip6, quote(reply6(kVip6)), 64, type)),
          to_web(error6(kVip6, quote(reply6(kVip6)), 63, type)));
  const auto udp4 = ip4(kVip4, kClient4).udp(53, 40000).payload("answer");
  l.add("v4: an ICMP error about UDP, tagged and padded", eth().vlan(7).then(error4(kVip4, quote(udp4))).padding(2),
        to_web(error4(kVip4, quote(udp4), 63), 0xc0));
  const auto options = ip4(kVip4, kClient4, {.options = packet::Bytes(24, 1)}).tcp(80, 40000);
  l.add("v4: a quote with options", in(error4(kVip4, quote(options))), to_web(error4(kVip4, quote(options), 63), 0xc0));
  const auto extended = ip6(kVip6, kClient6).extension(0).extension(60, 24).udp(53, 40000);
  l.add("v6: a quote with extension headers", in(error6(kVip6, quote(extended))),
        to_web(error6(kVip6, quote(extended), 63)));
  const auto first = ip4(kVip4, kClient4, {.df = false, .mf = true}).udp(53, 40000).payload_size(64);
  l.add("v4: a quoted first fragment", in(error4(kVip4, quote(first))), to_web(error4(kVip4, quote(first), 63), 0xc0));
  const auto wrong = ip4(kVip4, kClient4, {.ttl = 0, .csum = 1}).tcp(80, 40000);
  l.add("v4: a quote whose checksum is wrong", in(error4(kVip4, quote(wrong))),
        to_web(error4(kVip4, quote(wrong), 63), 0xc0));
}

void every_mode(CaseList& l) {
  l.add("4 in 6: an ICMP error has the flow's label", in(error4("192.0.2.16", quote(reply4("192.0.2.16")))),
        forwarded(tunnel6(to_b12(), error4("192.0.2.16", quote(reply4("192.0.2.16")), 63), 0x213c6, 0xc0), kLan, "web6",
                  "p6/b12"));
  l.add("6 in 6: an ICMPv6 error has the flow's label", in(error6("2001:db8::16", quote(reply6("2001:db8::16")))),
        forwarded(tunnel6(to_b12(), error6("2001:db8::16", quote(reply6("2001:db8::16")), 63), 0x637cd), kLan, "web6",
                  "p6/b12"));
  l.add("dsr v4: an ICMP error", in(error4("192.0.2.20", quote(reply4("192.0.2.20")))),
        forwarded(to_b11().then(error4("192.0.2.20", quote(reply4("192.0.2.20")), 63)), kLan, "direct4", "p4/b11"));
  l.add("dsr v6: an ICMPv6 error", in(error6("2001:db8::20", quote(reply6("2001:db8::20")))),
        forwarded(to_b12().then(error6("2001:db8::20", quote(reply6("2001:db8::20")), 63)), kLan, "direct6", "p6/b12"));
}

// The backends of cases_v6.cc: an error goes where the hash of the quoted flow points, or of its client.
void chosen(CaseList& l) {
  Case flows{.name = "v6: ICMPv6 errors about flows that nobody tracks", .world = &edge(), .steps = {}};
  const std::pair<const Chosen*, uint32_t> by_port[] = {{&kM1, 0},       {&kM1, 0},       {&kM1, 0}, {&kM1, 0},
                                                        {&kM3, 0x4050e}, {&kM3, 0xb82fc}, {&kM2, 0}, {&kM1, 0}};
  for (uint16_t i = 0; i < 8; i++) {
    const std::string quoted = quote(reply6("2001:db8::60", static_cast<uint16_t>(40000 + i)));
    flows.steps.push_back(
        {in(error6("2001:db8::60", quoted)),
         tunnelled(*by_port[i].first, error6("2001:db8::60", quoted, 63), by_port[i].second, "spread")});
  }
  l.add(flows);
  Case sources{.name = "v6: source-hash sees the quoted client, not the router", .world = &edge(), .steps = {}};
  const auto add = [&](std::string_view client, const Chosen& backend, uint32_t label) {
    const std::string quoted = quote(ip6("2001:db8::61", client).tcp(80, 1024));
    sources.steps.push_back(
        {in(error6("2001:db8::61", quoted)), tunnelled(backend, error6("2001:db8::61", quoted, 63), label, "sticky")});
  };
  add("2001:db8:c::7", kM3, 0xe25fd);
  add("2001:db8:c:1::7", kM2, 0);
  l.add(sources);
}

void nobodys(CaseList& l) {
  const auto unmatched4 = [&](const std::string& name, const std::string& quoted) {
    l.add("v4: an ICMP error that quotes " + name, in(error4(kVip4, quoted)), dropped(LB_DROP_IcmpUnmatched));
  };
  const auto unmatched6 = [&](const std::string& name, const std::string& quoted) {
    l.add("v6: an ICMPv6 error that quotes " + name, in(error6(kVip6, quoted)), dropped(LB_DROP_IcmpUnmatched));
  };
  unmatched4("7 bytes of TCP", quote(reply4(kVip4), 27));
  unmatched4("nothing", "");
  unmatched4("what another address sent", quote(reply4("192.0.2.16")));
  unmatched4("what the client sent", quote(ip4(kClient4, kVip4).tcp(40000, 80)));
  unmatched4("an echo reply", quote(ip4(kVip4, kClient4).icmp(0).payload_size(56)));
  unmatched4("a later fragment", quote(ip4(kVip4, kClient4, {.offset = 8, .proto = 17}).payload_size(64)));
  unmatched6("7 bytes of TCP", quote(reply6(kVip6), 47));
  unmatched6("what another address sent", quote(reply6("2001:db8::16")));
  unmatched6("an echo reply", quote(ip6(kVip6, kClient6).icmp6(129).payload_size(56)));
  unmatched6("a later fragment", quote(ip6(kVip6, kClient6).fragment6(8, false).udp(53, 40000)));
  l.add("v4: an ICMP error about a port without listener",
        in(error4(kVip4, quote(ip4(kVip4, kClient4).tcp(81, 40000)))), dropped(LB_DROP_NoListener));
  l.add("v4: an ICMP error about the host's own connection",
        in(error4("192.0.2.50", quote(ip4("192.0.2.50", kClient4).tcp(22, 40000)))), punted_owned());
  l.add("v4: an ICMP error when no backend is eligible", in(error4("192.0.2.40", quote(reply4("192.0.2.40")))),
        dropped(LB_DROP_NoBackend));
  l.add("v4: an ICMP error in its last hop", in(error4(kVip4, quote(reply4(kVip4)), 1)), dropped(LB_DROP_TtlExpired));
  l.add("v6: an ICMPv6 error in its last hop", in(error6(kVip6, quote(reply6(kVip6)), 1)), dropped(LB_DROP_TtlExpired));
  const std::string large(1453, 'q');
  l.add("v4: an ICMP error too large for the tunnel", in(error4(kVip4, quote(reply4(kVip4), 28) + large.substr(28))),
        dropped(LB_DROP_TooBig));
  l.add("v4: an ICMP error from an address of ours",
        in(ip4(kVip4, kVip4).icmp(3, 4, 1400).payload(quote(reply4(kVip4)))), dropped(LB_DROP_BadSource));
  l.add("v4: an ICMP error of 7 bytes", in(ip4(kRouter4, kVip4, {.proto = 1}).payload_size(7)),
        dropped(LB_DROP_BadL4Header));
  l.add("v4: the first piece of an ICMP error",
        in(ip4(kRouter4, kVip4, {.df = false, .mf = true}).icmp(3, 4, 1400).payload(quote(reply4(kVip4), 32))),
        dropped(LB_DROP_IcmpOther));
}

}  // namespace

std::vector<Case> cases_icmp() {
  CaseList l(edge());
  every_kind(l);
  every_mode(l);
  chosen(l);
  nobodys(l);
  std::vector<Case> all = l.take();
  for (Case& c : all)
    for (Step& step : c.steps) step.expect.is_error = step.expect.verdict == Verdict::kForward;
  return all;
}

}  // namespace lb::conformance
