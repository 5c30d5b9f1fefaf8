// What is ours, cannot go on, and is answered: RFC 792, RFC 1122, RFC 1812, RFC 4443, RFC 9293. Answers are limited by
// source, so that every case has a client of its own.
#include "tests/conformance/case_words.h"

namespace lb::conformance {
namespace {

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10", kPolite4 = "192.0.2.70",
                           kPolite6 = "2001:db8::70", kWan4 = "203.0.113.2", kWan6 = "2001:db8:a::2";
constexpr size_t kQuote4 = 576 - 28, kQuote6 = 1280 - 48;

class Clients {
 public:
  std::string v4() { return "198.51.100." + std::to_string(++last_); }
  std::string v6() { return "2001:db8:c:" + std::to_string(++last_) + "::7"; }

 private:
  int last_ = 99;
};

Packet back() {
  return eth(packet::kRouterMac, packet::kPortMac);
}
std::string quote(const Packet& ip, size_t most) {
  const packet::Bytes all = ip.bytes();
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), most))};
}
// An error about an IP packet, to its source.
Packet error4(std::string_view from, std::string_view to, uint8_t type, uint8_t code, uint32_t rest, const Packet& ip) {
  return back().ip4(from, to, {.tos = 0xc0}).icmp(type, code, rest).payload(quote(ip, kQuote4));
}
Packet error6(std::string_view from, std::string_view to, uint8_t type, uint8_t code, uint32_t rest, const Packet& ip) {
  return back().ip6(from, to, {.tos = 0xc0}).icmp6(type, code, rest).payload(quote(ip, kQuote6));
}

void echo(CaseList& l, Clients& clients) {
  const auto add = [&](const std::string& name, const Packet& asked, const Packet& told) {
    l.add(name, asked, answered(told));
  };
  for (const size_t payload : {0u, 56u, 1001u}) {
    const std::string n = std::to_string(payload), c4 = clients.v4(), c6 = clients.v6();
    add("v4: an echo request of " + n + " bytes", in(ip4(c4, kVip4).icmp(8, 0, 0x10002).payload_size(payload)),
        back().ip4(kVip4, c4).icmp(0, 0, 0x10002).payload_size(payload));
    add("v6: an echo request of " + n + " bytes", in(ip6(c6, kVip6).icmp6(128, 0, 0x10002).payload_size(payload)),
        back().ip6(kVip6, c6).icmp6(129, 0, 0x10002).payload_size(payload));
  }
  const std::string c4 = clients.v4(), c6 = clients.v6();
  add("v4: an echo request with options, TTL 1, tags and padding",
      eth().vlan(7).vlan(8).then(ip4(c4, kVip4, {.tos = 0x28, .ttl = 1, .id = 9, .df = false, .options = {7, 7, 4, 0}})
                                     .icmp(8)
                                     .payload("abc")
                                     .padding(20)),
      back().vlan(7).vlan(8).ip4(kVip4, c4, {.tos = 0x28, .id = 9, .df = false}).icmp(0).payload("abc"));
  add("v6: an echo request behind extension headers",
      in(ip6(c6, kVip6, {.tos = 0x28, .label = 77}).extension(0).extension(60, 16).icmp6(128).payload("abc")),
      back().ip6(kVip6, c6, {.tos = 0x28}).icmp6(129).payload("abc"));
  add("v4: an echo request to an address that the host has", in(ip4(c4, "192.0.2.50").icmp(8).payload("abc")),
      back().ip4("192.0.2.50", c4).icmp(0).payload("abc"));
}

void no_hop_left(CaseList& l, Clients& clients) {
  for (const uint8_t ttl : Octets{0, 1})
    for (const bool dsr : {false, true}) {
      const std::string how = (dsr ? " dsr: " : " ipip: ") + std::to_string(ttl) + " hops left";
      const std::string c4 = clients.v4(), c6 = clients.v6();
      const Packet four = ip4(c4, dsr ? "192.0.2.20" : kVip4, {.ttl = ttl}).tcp(40000, 80).payload_size(5);
      const Packet six = ip6(c6, dsr ? "2001:db8::20" : kVip6, {.hop_limit = ttl}).tcp(40000, 80).payload_size(5);
      l.add("v4" + how, in(four), answered(error4(kWan4, c4, 11, 0, 0, four)));
      l.add("v6" + how, in(six), answered(error6(kWan6, c6, 3, 0, 0, six)));
    }
  const std::string c4 = clients.v4();
  const Packet large = ip4(c4, kVip4, {.ttl = 1}).tcp(40000, 80).payload_size(1500);
  l.add("v4: no hop left is told before too big", in(large), answered(error4(kWan4, c4, 11, 0, 0, large)));
  const Packet tagged = ip4(c4, kVip4, {.ttl = 1, .options = {1, 1, 1, 1}}).udp(40000, 53).payload("x");
  l.add("v4: no hop left, tagged, with options", eth().vlan(5, 0x88a8).then(tagged).padding(4),
        answered(back().vlan(5, 0x88a8).ip4(kWan4, c4, {.tos = 0xc0}).icmp(11).then(tagged)));
  l.add("v4: no room in front for an error", in(tagged), dropped(LB_DROP_TtlExpired), 27);
}

// IP packets of the MTU less the outer header fit.
void too_big(CaseList& l, Clients& clients) {
  const auto four = [&](const std::string& name, std::string_view vip, uint32_t fits) {
    const std::string c = clients.v4();
    const Packet p = ip4(c, vip).tcp(40000, 80).payload_size(fits + 1 - 40);
    l.add(name, in(p), answered(error4(kWan4, c, 3, 4, fits, p)));
  };
  const auto six = [&](const std::string& name, std::string_view vip, uint32_t fits) {
    const std::string c = clients.v6();
    const Packet p = ip6(c, vip).tcp(40000, 80).payload_size(fits + 1 - 60);
    l.add(name, in(p), answered(error6(kWan6, c, 2, 0, fits, p)));
  };
  four("v4 in 4: 1481 bytes do not fit", kVip4, 1480);
  six("v6 in 4: 1481 bytes do not fit", kVip6, 1480);
  four("v4 in 6: 1461 bytes do not fit", "192.0.2.16", 1460);
  six("v6 in 6: 1461 bytes do not fit", "2001:db8::16", 1460);
  four("v4: a route's smaller MTU counts", "192.0.2.25", 1380);
  six("v6: a route's smaller MTU counts", "2001:db8::25", 1380);
  four("v4 dsr: 1501 bytes do not fit", "192.0.2.20", 1500);
  six("v6 dsr: 1501 bytes do not fit", "2001:db8::20", 1500);
}

Packet reset4(const std::string& to, const packet::Tcp& o) {
  return back().ip4(kPolite4, to).tcp(81, 40000, o);
}
Packet reset6(const std::string& to, const packet::Tcp& o) {
  return back().ip6(kPolite6, to).tcp(81, 40000, o);
}

void reject(CaseList& l, Clients& clients) {
  const auto add = [&](const std::string& name, const Packet& p, const Packet& told) {
    l.add(name, p, answered(told));
  };
  const std::string c4 = clients.v4(), c6 = clients.v6();
  add("v4 reject: a SYN", in(ip4(c4, kPolite4).tcp(40000, 81, {.seq = 1000})),
      reset4(c4, {.flags = 0x14, .seq = 0, .ack = 1001, .window = 0}));
  add("v6 reject: a SYN", in(ip6(c6, kPolite6).tcp(40000, 81, {.seq = 1000})),
      reset6(c6, {.flags = 0x14, .seq = 0, .ack = 1001, .window = 0}));
  add("v4 reject: an ACK with data", in(ip4(c4, kPolite4).tcp(40000, 81, {.flags = 0x18, .ack = 77}).payload("data")),
      reset4(c4, {.flags = 0x04, .seq = 77, .window = 0}));
  add("v6 reject: a FIN without ACK", in(ip6(c6, kPolite6).tcp(40000, 81, {.flags = 0x01, .seq = 9}).payload("abc")),
      reset6(c6, {.flags = 0x14, .seq = 0, .ack = 13, .window = 0}));
  for (const uint8_t flags : Octets{0x04, 0x14}) {
    const std::string f = std::to_string(flags);
    l.add("v4 reject: a reset, flags " + f, in(ip4(c4, kPolite4).tcp(40000, 81, {.flags = flags})),
          dropped(LB_DROP_NoListener));
  }
  const Packet udp4 = ip4(c4, kPolite4).udp(40000, 4999).payload("abc"), udp6 = ip6(c6, kPolite6).udp(40000, 53);
  add("v4 reject: UDP", in(udp4), error4(kPolite4, c4, 3, 3, 0, udp4));
  add("v6 reject: UDP", in(udp6), error6(kPolite6, c6, 1, 4, 0, udp6));
  const Packet gre = ip4(c4, kPolite4, {.proto = 47}).payload_size(1400);
  add("v4 reject: another protocol", in(gre), error4(kPolite4, c4, 3, 3, 0, gre));
  l.add("v4 reject: ICMPv6 in IPv4", in(ip4(c4, kPolite4, {.proto = 58}).payload_size(40)),
        dropped(LB_DROP_NoListener));
  l.add("v4 reject: from class E", in(ip4("240.0.0.1", kPolite4).udp(40000, 4999)), dropped(LB_DROP_NoListener));
  l.add("v4 reject: a port of a range has a listener", in(ip4(kClient4, kPolite4).udp(40000, 5009).payload("x")),
        forwarded(tunnel4(to_b11(), ip4(kClient4, kPolite4, {.ttl = 63}).udp(40000, 5009).payload("x")), kLan, "polite",
                  "p4/b11"));
}

void other_words(CaseList& l) {
  l.add("v4: punt, though no interface has the address", in(ip4(kClient4, "192.0.2.71").tcp(40000, 81)),
        punted_owned());
  l.add("v4: drop, though an interface has the address", in(ip4(kClient4, "192.0.2.72").tcp(40000, 81)),
        dropped(LB_DROP_NoListener));
}

}  // namespace

std::vector<Case> cases_answer() {
  CaseList l(edge());
  Clients clients;
  echo(l, clients);
  no_hop_left(l, clients);
  too_big(l, clients);
  reject(l, clients);
  other_words(l);
  return l.take();
}

}  // namespace lb::conformance
