// Owned and malformed, or from a source that cannot be: dropped by name. The same bytes to an address that is not ours
// are the kernel's (cases_edge.cc).
#include "tests/conformance/case_words.h"

namespace lb::conformance {
namespace {

constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10";

void ip_headers(CaseList& l) {
  const auto web = [](const packet::Ip4& o) { return in(ip4(kClient4, kVip4, o).tcp(40000, 80)); };
  l.add("v4: version 6 in an IPv4 frame", web({.version_ihl = 0x65}), dropped(LB_DROP_BadIpHeader));
  l.add("v4: header length 4 words", web({.version_ihl = 0x44}), dropped(LB_DROP_BadIpHeader));
  l.add("v4: header length 0", web({.version_ihl = 0x40}), dropped(LB_DROP_BadIpHeader));
  l.add("v4: header longer than the packet", web({.version_ihl = 0x4f, .total_length = 40}),
        dropped(LB_DROP_BadIpHeader));
  l.add("v4: total length shorter than the header", web({.total_length = 19}), dropped(LB_DROP_BadIpHeader));
  l.add("v4: total length 0", web({.total_length = 0}), dropped(LB_DROP_BadIpHeader));
  l.add("v4: total length one byte beyond the frame", web({.total_length = 41}), dropped(LB_DROP_BadIpHeader));
  l.add("v4: frame cut inside the options", in(ip4(kClient4, kVip4, {.options = {7, 7, 4, 0}}).tcp(1, 80)).cut(34),
        dropped(LB_DROP_BadIpHeader));
  l.add("v4: wrong checksum", web({.csum = 0x1234}), dropped(LB_DROP_BadIpChecksum));
  l.add("v4: checksum zero", web({.csum = 0}), dropped(LB_DROP_BadIpChecksum));
  l.add("v4: wrong checksum with options", web({.options = {1, 1, 1, 1}, .csum = 0x4321}),
        dropped(LB_DROP_BadIpChecksum));

  const auto web6 = [](const packet::Ip6& o) { return in(ip6(kClient6, kVip6, o).tcp(40000, 80)); };
  l.add("v6: version 4 in an IPv6 frame", web6({.version = 4}), dropped(LB_DROP_BadIpHeader));
  l.add("v6: payload one byte beyond the frame", web6({.payload_length = 21}), dropped(LB_DROP_BadIpHeader));
  l.add("v6: payload length 65535", web6({.payload_length = 65535}), dropped(LB_DROP_BadIpHeader));
}

void l4_headers(CaseList& l) {
  const auto ip = [](bool v6) { return v6 ? in(ip6(kClient6, kVip6)) : in(ip4(kClient4, kVip4)); };
  for (const bool v6 : {false, true}) {
    const std::string f = v6 ? "v6: " : "v4: ";
    const uint8_t icmp = v6 ? 58 : 1;
    const auto bare = [v6](uint8_t proto) {
      return v6 ? in(ip6(kClient6, kVip6, {.next = proto})) : in(ip4(kClient4, kVip4, {.proto = proto}));
    };
    l.add(f + "TCP without a header", bare(6), dropped(LB_DROP_BadL4Header));
    l.add(f + "TCP of 19 bytes", bare(6).payload_size(19), dropped(LB_DROP_BadL4Header));
    l.add(f + "TCP data offset 4", ip(v6).tcp(40000, 80, {.data_offset = 4}), dropped(LB_DROP_BadL4Header));
    l.add(f + "TCP data offset beyond the packet", ip(v6).tcp(40000, 80, {.data_offset = 6}),
          dropped(LB_DROP_BadL4Header));
    l.add(f + "TCP header reaching into the padding", ip(v6).tcp(40000, 80, {.data_offset = 6}).padding(6),
          dropped(LB_DROP_BadL4Header));
    l.add(f + "UDP without a header", bare(17), dropped(LB_DROP_BadL4Header));
    l.add(f + "UDP of 7 bytes", bare(17).payload_size(7), dropped(LB_DROP_BadL4Header));
    l.add(f + "UDP length 7", ip(v6).udp(40000, 53, {.length = 7}), dropped(LB_DROP_BadL4Header));
    l.add(f + "UDP length 0", ip(v6).udp(40000, 53, {.length = 0}), dropped(LB_DROP_BadL4Header));
    l.add(f + "UDP length beyond the packet", ip(v6).udp(40000, 53, {.length = 13}).payload("four"),
          dropped(LB_DROP_BadL4Header));
    l.add(f + "ICMP of 7 bytes", bare(icmp).payload_size(7), dropped(LB_DROP_BadL4Header));
  }
}

void extensions(CaseList& l) {
  const auto with = [](size_t headers, size_t bytes) {
    Packet p = in(ip6(kClient6, kVip6));
    for (size_t i = 0; i < headers; i++) p.extension(i == 0 ? 0 : 60, bytes);
    return p.tcp(40000, 80);
  };
  l.add("v6: nine extension headers", with(9, 8), dropped(LB_DROP_BadExtension));
  l.add("v6: extension headers of 264 bytes", with(1, 264), dropped(LB_DROP_BadExtension));
  l.add("v6: four extension headers of 288 bytes together", with(4, 72), dropped(LB_DROP_BadExtension));
  l.add("v6: an extension header cut short by the payload length",
        in(ip6(kClient6, kVip6, {.payload_length = 15}).extension(60, 16).tcp(40000, 80)),
        dropped(LB_DROP_BadExtension));
  l.add("v6: seven bytes of an extension header", in(ip6(kClient6, kVip6, {.next = 0}).payload_size(7)),
        dropped(LB_DROP_BadExtension));
  l.add("v6: a jumbogram: payload length 0 and hop-by-hop",
        in(ip6(kClient6, kVip6, {.payload_length = 0}).extension(0, 8).tcp(40000, 80)), dropped(LB_DROP_BadExtension));
  l.add("v6: a cut fragment header", in(ip6(kClient6, kVip6, {.next = 44}).payload_size(4)),
        dropped(LB_DROP_BadExtension));
}

void sources(CaseList& l) {
  for (const std::string_view src : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "224.0.0.1",
                                     "239.255.255.255", "255.255.255.255", "192.0.2.10", "192.0.2.20"})
    l.add("v4: source " + std::string(src), in(ip4(src, kVip4).tcp(40000, 80)), dropped(LB_DROP_BadSource));
  for (const std::string_view src :
       {"::", "::1", "ff02::1", "ffff::1", "2001:db8::10", "2001:db8::20", "::ffff:198.51.100.7", "::ffff:192.0.2.10"})
    l.add("v6: source " + std::string(src), in(ip6(src, kVip6).tcp(40000, 80)), dropped(LB_DROP_BadSource));
  l.add("v4: a bad source is told before a fragment",
        in(ip4("127.0.0.1", kVip4, {.mf = true}).tcp(40000, 80).payload_size(4)), dropped(LB_DROP_BadSource));
  l.add("v4: a wrong checksum is told before a bad source",
        in(ip4("127.0.0.1", kVip4, {.csum = 0x1234}).tcp(40000, 80)), dropped(LB_DROP_BadIpChecksum));
}

}  // namespace

std::vector<Case> cases_bad() {
  CaseList l(edge());
  ip_headers(l);
  l4_headers(l);
  extensions(l);
  sources(l);
  return l.take();
}

}  // namespace lb::conformance
