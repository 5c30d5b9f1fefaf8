// What is not ours stays untouched; what is ours but cannot be forwarded is answered or ends in its own reason. A
// choice: tests/oracle has many more of those that are answered, held or split.
#include <algorithm>

#include "tests/conformance/case_words.h"

namespace lb::conformance {
namespace {

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10";
constexpr std::string_view kOther4 = "203.0.113.99", kOther6 = "2001:db8:ffff::99";

void not_owned(CaseList& l) {
  l.add("not ours: IPv4 to another address", in(ip4(kClient4, kOther4).tcp(40000, 80)), punted());
  l.add("not ours: IPv6 to another address", in(ip6(kClient6, kOther6).tcp(40000, 80)), punted());
  l.add("not ours: the host's own address without a listener", in(ip4(kClient4, kSelf4).tcp(40000, 22)), punted());
  l.add("not ours: ARP", eth().payload_size(28), punted());
  l.add("not ours: a listener's address behind another MAC",
        eth("02:00:00:00:00:99").then(ip4(kClient4, kVip4).tcp(40000, 80)), punted());
  l.add("not ours: a listener's address behind the broadcast MAC",
        eth("ff:ff:ff:ff:ff:ff").then(ip4(kClient4, kVip4).tcp(40000, 80)), punted());
  l.add("not ours: neighbour solicitation to the multicast MAC",
        eth("33:33:ff:00:00:10").then(ip6("::", "ff02::1:ff00:10", {.hop_limit = 255}).icmp6(135).payload_size(16)),
        punted());
  l.add("not ours: three tags", eth().vlan(1, 0x88a8).vlan(2).vlan(3).then(ip4(kClient4, kVip4).tcp(40000, 80)),
        punted());
  l.add("not ours: a frame of 13 bytes", in(ip4(kClient4, kVip4).tcp(40000, 80)).cut(13), punted());
  l.add("not ours: an empty frame", eth().cut(0), punted());
  l.add("not ours: Ethernet alone", eth().cut(14), punted());
  l.add("not ours: a tag cut in two", eth().vlan(5).then(ip4(kClient4, kVip4).tcp(40000, 80)).cut(16), punted());
  l.add("not ours: IPv4 cut before the destination ends", in(ip4(kClient4, kVip4).tcp(40000, 80)).cut(33), punted());
  l.add("not ours: IPv6 cut before the destination ends", in(ip6(kClient6, kVip6).tcp(40000, 80)).cut(53), punted());
  l.add("not ours: an IPv4-mapped IPv6 destination", in(ip6(kClient6, "::ffff:192.0.2.10").tcp(40000, 80)), punted());
  l.add("not ours: wrong checksum, TTL 0, bad length",
        in(ip4("127.0.0.1", kOther4, {.ttl = 0, .total_length = 9999, .csum = 1}).tcp(1, 2)), punted());
  l.add("not ours: a fragment", in(ip4(kClient4, kOther4, {.mf = true, .offset = 10}).payload_size(64)), punted());
  l.add(
      "not ours: nine extension headers",
      [] {
        Packet p = in(ip6(kClient6, kOther6));
        for (int i = 0; i < 9; i++) p.extension(60);
        return p.tcp(40000, 80);
      }(),
      punted());
  l.add("not ours: ICMP echo, tagged", eth().vlan(7).then(ip4(kClient4, kOther4).icmp(8).payload_size(56)), punted());
  l.add("not ours: padding stays", in(ip4(kClient4, kOther4).udp(1, 2)).padding(18), punted());
  l.add({.name = "no services: everything is the kernel's",
         .world = &empty(),
         .steps = {{in(ip4(kClient4, kVip4).tcp(40000, 80)), punted()},
                   {in(ip6(kClient6, kVip6).tcp(40000, 80)), punted()},
                   {in(ip4(kClient4, kVip4, {.csum = 1}).tcp(40000, 80)), punted()}}});
}

void no_listener(CaseList& l) {
  l.add("v4: no listener on that port", in(ip4(kClient4, kVip4).tcp(40000, 81)), dropped(LB_DROP_NoListener));
  l.add("v6: no listener on that port", in(ip6(kClient6, kVip6).tcp(40000, 81)), dropped(LB_DROP_NoListener));
  l.add("v4: the port, but another protocol", in(ip4(kClient4, kVip4).udp(40000, 80)), dropped(LB_DROP_NoListener));
  l.add("v4: an any-port UDP listener takes no TCP", in(ip4(kClient4, "192.0.2.30").tcp(40000, 8050)),
        dropped(LB_DROP_NoListener));
  for (const uint8_t proto : Octets{4, 47, 50, 58, 132, 255})
    l.add("v4: protocol " + std::to_string(proto), in(ip4(kClient4, kVip4, {.proto = proto}).payload_size(40)),
          dropped(LB_DROP_NoListener));
  for (const uint8_t next : Octets{1, 4, 47, 50, 59, 132, 255})
    l.add("v6: next header " + std::to_string(next), in(ip6(kClient6, kVip6, {.next = next}).payload_size(40)),
          dropped(LB_DROP_NoListener));
  l.add("v4: no listener on an address that the host has", in(ip4(kClient4, "192.0.2.50").tcp(40000, 22)),
        punted_owned());
  l.add("v6: no listener on an address that the host has", in(ip6(kClient6, "2001:db8::50").tcp(40000, 22)),
        punted_owned());
  l.add("v4: GRE to an address that the host has", in(ip4(kClient4, "192.0.2.50", {.proto = 47}).payload_size(8)),
        punted_owned());
  l.add("v4: the listener of an address that the host has", in(ip4(kClient4, "192.0.2.50").tcp(40000, 80)),
        forwarded(tunnel4(to_b11(), ip4(kClient4, "192.0.2.50", {.ttl = 63}).tcp(40000, 80)), kLan, "host", "p4/b11"));
}

void icmp(CaseList& l) {
  for (const uint8_t type : Octets{0, 4, 5, 13, 42})
    l.add("v4: ICMP type " + std::to_string(type), in(ip4(kClient4, kVip4).icmp(type).payload_size(56)),
          dropped(LB_DROP_IcmpOther));
  for (const uint8_t type : Octets{0, 5, 127, 129, 138, 142, 144})
    l.add("v6: ICMPv6 type " + std::to_string(type), in(ip6(kClient6, kVip6).icmp6(type).payload_size(56)),
          dropped(LB_DROP_IcmpOther));
  for (const uint8_t type : Octets{130, 131, 132, 133, 134, 135, 136, 137, 143})
    l.add("v6: neighbour or listener discovery " + std::to_string(type),
          in(ip6("fe80::1", kVip6, {.hop_limit = 255}).icmp6(type).payload_size(16)), punted_owned());
  l.add("v6: discovery behind a hop-by-hop header", in(ip6("fe80::1", kVip6).extension(0).icmp6(131).payload_size(16)),
        punted_owned());
  l.add("v6: discovery from the unspecified address", in(ip6("::", kVip6).icmp6(135).payload_size(16)), punted_owned());
}

// What one frame alone can show; the oracle (tests/oracle) has the datagrams.
void fragments(CaseList& l) {
  const auto first4 = [](uint8_t ttl) {
    return ip4(kClient4, kVip4, {.ttl = ttl, .id = 1, .df = false, .mf = true}).udp(40000, 53).payload_size(64);
  };
  l.add("v4: a first fragment", in(first4(64)), forwarded(tunnel4(to_b11(), first4(63)), kLan, "web", "p4/b11"));
  l.add("v4: a middle fragment",
        in(ip4(kClient4, kVip4, {.id = 2, .mf = true, .offset = 9, .proto = 17}).payload_size(64)), held());
  l.add("v4: a last fragment", in(ip4(kClient4, kVip4, {.id = 3, .offset = 17, .proto = 17}).payload_size(3)), held());
  l.add("v4: a tiny first fragment", in(ip4(kClient4, kVip4, {.id = 4, .mf = true, .proto = 6}).payload_size(8)),
        dropped(LB_DROP_FragmentTiny));
  l.add("v4: a fragment of an ICMP message", in(ip4(kClient4, kVip4, {.mf = true}).icmp(8).payload_size(64)),
        dropped(LB_DROP_IcmpOther));
  const auto first6 = [](uint8_t hops) {
    return ip6(kClient6, kVip6, {.hop_limit = hops}).fragment6(0, true, 1).udp(40000, 53).payload_size(64);
  };
  l.add("v6: a first fragment", in(first6(64)), forwarded(tunnel4(to_b11(), first6(63)), kLan, "web", "p4/b11"));
  l.add("v6: a last fragment", in(ip6(kClient6, kVip6).fragment6(9, false, 2).payload_size(64)), held());
  l.add("v6: a fragment behind a destination option",
        in(ip6(kClient6, kVip6).extension(60).fragment6(9, true, 3).payload_size(64)), held());
  l.add("v4: a fragment that ends in the middle of a unit",
        in(ip4(kClient4, kVip4, {.mf = true, .offset = 9, .proto = 17}).payload_size(63)),
        dropped(LB_DROP_BadIpHeader));
  l.add("v6: a fragment that ends in the middle of a unit",
        in(ip6(kClient6, kVip6).fragment6(9, true).payload_size(63)), dropped(LB_DROP_BadExtension));
  l.add("v4: a fragment behind the longest datagram",
        in(ip4(kClient4, kVip4, {.offset = 8191, .proto = 17}).payload_size(8)), dropped(LB_DROP_BadIpHeader));
  l.add("v4: a later fragment over the TCP header",
        in(ip4(kClient4, kVip4, {.offset = 1, .proto = 6}).payload_size(64)), dropped(LB_DROP_FragmentTiny));
  l.add("v6: a fragment whose first bytes look like discovery",
        in(ip6(kClient6, kVip6).fragment6(0, true).icmp6(135).payload_size(16)), dropped(LB_DROP_IcmpOther));
}

void cannot_be_sent(CaseList& l) {
  const auto tcp4 = [](std::string_view vip, uint8_t ttl, size_t payload) {
    return ip4(kClient4, vip, {.ttl = ttl}).tcp(40000, 80).payload_size(payload);
  };
  const auto tcp6 = [](std::string_view vip, uint8_t hops, size_t payload) {
    return ip6(kClient6, vip, {.hop_limit = hops}).tcp(40000, 80).payload_size(payload);
  };
  l.add("v4: no eligible backend", in(tcp4("192.0.2.40", 64, 5)), dropped(LB_DROP_NoBackend));
  l.add("v6: no eligible backend", in(tcp6("2001:db8::40", 64, 5)), dropped(LB_DROP_NoBackend));

  // IP packets of 1500 - outer header fit; cases_answer.cc has what does not. TCP over IPv4: 40 bytes, over IPv6: 60.
  const auto fits = [](Packet out, std::string service, std::string backend) {
    return forwarded(std::move(out), kLan, std::move(service), std::move(backend));
  };
  l.add("v4 in 4: 1480 bytes fit", in(tcp4(kVip4, 64, 1440)),
        fits(tunnel4(to_b11(), tcp4(kVip4, 63, 1440)), "web", "p4/b11"));
  l.add("v6 in 4: 1480 bytes fit", in(tcp6(kVip6, 64, 1420)),
        fits(tunnel4(to_b11(), tcp6(kVip6, 63, 1420)), "web", "p4/b11"));
  l.add("v4: the largest for a route of MTU 1400", in(tcp4("192.0.2.25", 64, 1340)),
        fits(tunnel4(to_gateway(), tcp4("192.0.2.25", 63, 1340), "10.9.0.13"), "far", "far/b13"));
  l.add("v4 dsr: 1500 bytes fit", in(tcp4("192.0.2.20", 64, 1460)),
        fits(to_b11().then(tcp4("192.0.2.20", 63, 1460)), "direct4", "p4/b11"));
  l.add("v4: padding does not count against the MTU", in(tcp4("192.0.2.20", 64, 1460)).padding(8),
        fits(to_b11().then(tcp4("192.0.2.20", 63, 1460)), "direct4", "p4/b11"));

  l.add("v4 in 4: 20 bytes of headroom are enough", in(tcp4(kVip4, 64, 5)),
        fits(tunnel4(to_b11(), tcp4(kVip4, 63, 5)), "web", "p4/b11"), 20);
  l.add("v4 in 4: 19 bytes of headroom are not", in(tcp4(kVip4, 64, 5)), dropped(LB_DROP_NoHeadroom), 19);
  l.add("v4 in 4: a tag that goes makes room", eth().vlan(5).then(tcp4(kVip4, 64, 5)),
        fits(tunnel4(to_b11(), tcp4(kVip4, 63, 5)), "web", "p4/b11"), 16);
  l.add("v6 in 6: 39 bytes of headroom are too few", in(tcp6("2001:db8::16", 64, 5)), dropped(LB_DROP_NoHeadroom), 39);
  l.add("v4 dsr: no headroom needed", in(tcp4("192.0.2.20", 64, 5)),
        fits(to_b11().then(tcp4("192.0.2.20", 63, 5)), "direct4", "p4/b11"), 0);
}

void room_for_a_tag(CaseList& l) {
  const auto lane = [](std::string_view mac, uint16_t vlan) { return eth(mac, "02:00:00:00:00:02").vlan(vlan); };
  const auto straight = [&](uint8_t ttl) {
    return ip4(kClient4, "192.0.2.82", {.ttl = ttl}).tcp(40000, 80).payload_size(5);
  };
  const Expect by_dsr = forwarded(lane("02:00:00:00:01:16", 30).then(straight(63)), kLan, "straight4", "v30/b16");
  l.add("v4 dsr to a VLAN: 4 bytes of headroom are enough", in(straight(64)), by_dsr, 4);
  l.add("v4 dsr to a VLAN: 3 bytes of headroom are not", in(straight(64)), dropped(LB_DROP_NoHeadroom), 3);
  l.add("v4 dsr from one VLAN to another: no headroom needed", eth().vlan(5).then(straight(64)), by_dsr, 0);
  const auto inner = [](uint8_t ttl) {
    return ip4(kClient4, "192.0.2.80", {.ttl = ttl}).tcp(40000, 80).payload_size(5);
  };
  const Expect by_tunnel =
      forwarded(tunnel4(lane("02:00:00:00:01:16", 30), inner(63), "10.0.3.16"), kLan, "lane", "v30/b16");
  l.add("v4 in 4 to a VLAN: 24 bytes of headroom are enough", in(inner(64)), by_tunnel, 24);
  l.add("v4 in 4 to a VLAN: 23 bytes of headroom are not", in(inner(64)), dropped(LB_DROP_NoHeadroom), 23);
}

}  // namespace

std::vector<Case> cases_edge() {
  CaseList l(edge());
  not_owned(l);
  no_listener(l);
  room_for_a_tag(l);
  icmp(l);
  fragments(l);
  cannot_be_sent(l);
  return l.take();
}

}  // namespace lb::conformance
