#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>

#include "tests/packet/builder.h"

namespace lb::packet {
namespace {

template <class... Args>
void line(std::string& out, const char* format, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, format, args...);
  out += text;
  out += '\n';
}

std::string address(std::span<const uint8_t> bytes) {
  char text[INET6_ADDRSTRLEN] = "?";
  inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

uint32_t get16(std::span<const uint8_t> b, size_t at) {
  return static_cast<uint32_t>(b[at] << 8 | b[at + 1]);
}

bool is_extension(uint8_t proto) {
  return proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60 || proto == 135;
}

// What stands at the front of a header: decoded line by line until nothing more is understood.
class Decoder {
 public:
  explicit Decoder(std::span<const uint8_t> b) : b_(b) {}

  std::string run() {
    uint32_t type = ethernet();
    while (type == 0x8100 || type == 0x88a8) type = vlan(type);
    int proto = type == 0x0800 ? 4 : type == 0x86dd ? 41 : -1;
    while (proto >= 0) proto = layer(static_cast<uint8_t>(proto));
    if (at_ < b_.size()) line(out_, "  + %zu bytes", b_.size() - at_);
    return std::move(out_);
  }

 private:
  std::span<const uint8_t> here() const { return b_.subspan(at_); }
  bool has(size_t n) {
    if (here().size() >= n) return true;
    line(out_, "  cut short: %zu of %zu bytes", here().size(), n);
    return false;
  }

  uint32_t ethernet() {
    if (!has(14)) return 0;
    const auto h = here();
    const uint32_t type = get16(h, 12);
    line(out_, "  eth  %02x:%02x:%02x:%02x:%02x:%02x <- %02x:%02x:%02x:%02x:%02x:%02x type %04x", h[0], h[1], h[2],
         h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10], h[11], type);
    at_ += 14;
    return type;
  }
  uint32_t vlan(uint32_t outer) {
    if (!has(4)) return 0;
    const uint32_t type = get16(here(), 2);
    line(out_, "  vlan %u (%04x) type %04x", get16(here(), 0) & 0xfff, outer, type);
    at_ += 4;
    return type;
  }
  // Returns the protocol behind, -1 at the end.
  int layer(uint8_t proto) {
    if (proto == 4) return ipv4();
    if (proto == 41) return ipv6();
    if (is_extension(proto)) return extension(proto);
    if (proto == 6) return tcp();
    if (proto == 17) return udp();
    if (proto == 1 || proto == 58) return icmp(proto);
    line(out_, "  protocol %u", proto);
    return -1;
  }
  int ipv4() {
    if (!has(20)) return -1;
    const auto h = here();
    const size_t bytes = std::min<size_t>((h[0] & 15) * 4u, h.size());
    line(out_, "  ip4  %s -> %s v %u ihl %u tos %02x len %u id %04x frag %04x ttl %u proto %u csum %04x%s",
         address(h.subspan(12, 4)).c_str(), address(h.subspan(16, 4)).c_str(), h[0] >> 4, h[0] & 15, h[1], get16(h, 2),
         get16(h, 4), get16(h, 6), h[8], h[9], get16(h, 10), checksum(h.first(bytes)) == 0 ? "" : " (wrong)");
    at_ += std::max<size_t>(bytes, 20);
    return (get16(h, 6) & 0x1fff) != 0 ? -1 : h[9];
  }
  int ipv6() {
    if (!has(40)) return -1;
    const auto h = here();
    line(out_, "  ip6  %s -> %s v %u tc %02x label %05x len %u next %u hop %u", address(h.subspan(8, 16)).c_str(),
         address(h.subspan(24, 16)).c_str(), h[0] >> 4, (h[0] << 4 | h[1] >> 4) & 0xff,
         (h[1] & 15u) << 16 | get16(h, 2), get16(h, 4), h[6], h[7]);
    at_ += 40;
    return h[6];
  }
  int extension(uint8_t proto) {
    if (!has(8)) return -1;
    const auto h = here();
    const size_t bytes = proto == 44 ? 8 : proto == 51 ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;
    line(out_, "  ext  %u next %u, %zu bytes", proto, h[0], bytes);
    if (!has(bytes)) return -1;
    at_ += bytes;
    return proto == 44 && (get16(h, 2) & 0xfff8) != 0 ? -1 : h[0];
  }
  int tcp() {
    if (!has(20)) return -1;
    const auto h = here();
    line(out_, "  tcp  %u -> %u flags %02x offset %u csum %04x", get16(h, 0), get16(h, 2), h[13], h[12] >> 4,
         get16(h, 16));
    at_ += 20;
    return -1;
  }
  int udp() {
    if (!has(8)) return -1;
    line(out_, "  udp  %u -> %u len %u csum %04x", get16(here(), 0), get16(here(), 2), get16(here(), 4),
         get16(here(), 6));
    at_ += 8;
    return -1;
  }
  int icmp(uint8_t proto) {
    if (!has(8)) return -1;
    line(out_, "  %s type %u code %u", proto == 1 ? "icmp" : "icmp6", here()[0], here()[1]);
    at_ += 8;
    return -1;
  }

  std::span<const uint8_t> b_;
  size_t at_ = 0;
  std::string out_;
};

std::string hex_dump(std::span<const uint8_t> b) {
  std::string out;
  for (size_t at = 0; at < b.size(); at += 16) {
    char text[24];
    std::snprintf(text, sizeof text, "  %04zx ", at);
    out += text;
    for (size_t i = at; i < std::min(at + 16, b.size()); i++) {
      std::snprintf(text, sizeof text, " %02x", b[i]);
      out += text;
    }
    out += '\n';
  }
  return out;
}

}  // namespace

std::string describe(std::span<const uint8_t> frame) {
  return Decoder(frame).run() + hex_dump(frame);
}

std::string difference(std::span<const uint8_t> expected, std::span<const uint8_t> actual) {
  if (std::equal(expected.begin(), expected.end(), actual.begin(), actual.end())) return {};
  const auto [e, a] = std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end());
  std::string out;
  line(out, "frames differ from byte %td on (%zu bytes expected, %zu found)", e - expected.begin(), expected.size(),
       actual.size());
  return out + "expected\n" + describe(expected) + "found\n" + describe(actual);
}

}  // namespace lb::packet
