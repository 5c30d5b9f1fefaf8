#include "tests/packet/builder.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace lb::packet {
namespace {

[[noreturn]] void bad(const char* what, std::string_view text) {
  std::fprintf(stderr, "packet builder: %s: '%.*s'\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

void put16(Bytes& b, size_t at, uint32_t v) {
  b[at] = static_cast<uint8_t>(v >> 8);
  b[at + 1] = static_cast<uint8_t>(v);
}
void push16(Bytes& b, uint32_t v) {
  b.push_back(static_cast<uint8_t>(v >> 8));
  b.push_back(static_cast<uint8_t>(v));
}
void push32(Bytes& b, uint32_t v) {
  push16(b, v >> 16);
  push16(b, v & 0xffff);
}
void append(Bytes& b, const Bytes& more) {
  b.insert(b.end(), more.begin(), more.end());
}
Bytes padded4(Bytes b) {
  b.resize((b.size() + 3) / 4 * 4);
  return b;
}

// Ones' complement sum of the pseudo header: RFC 9293 section 3.1, RFC 8200 section 8.1.
uint32_t pseudo_header(const Bytes& out, size_t ip_at, uint8_t proto, size_t l4_bytes) {
  const bool v6 = out[ip_at] >> 4 == 6;
  const size_t from = ip_at + (v6 ? 8 : 12), count = v6 ? 32 : 8;
  uint32_t sum = proto + static_cast<uint32_t>(l4_bytes);
  for (size_t i = 0; i < count; i += 2) sum += static_cast<uint32_t>(out[from + i] << 8 | out[from + i + 1]);
  return sum;
}

}  // namespace

uint16_t checksum(std::span<const uint8_t> bytes, uint32_t start) {
  uint64_t sum = start;
  for (size_t i = 0; i < bytes.size(); i++) sum += i % 2 == 0 ? static_cast<uint64_t>(bytes[i]) << 8 : bytes[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

Bytes mac_bytes(std::string_view text) {
  Bytes b(6);
  const std::string s(text);
  if (std::sscanf(s.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
    bad("not a MAC address", text);
  return b;
}
Bytes ip4_bytes(std::string_view text) {
  Bytes b(4);
  if (inet_pton(AF_INET, std::string(text).c_str(), b.data()) != 1) bad("not an IPv4 address", text);
  return b;
}
Bytes ip6_bytes(std::string_view text) {
  Bytes b(16);
  if (inet_pton(AF_INET6, std::string(text).c_str(), b.data()) != 1) bad("not an IPv6 address", text);
  return b;
}

Packet eth(std::string_view dst, std::string_view src) {
  Packet p;
  Bytes b = mac_bytes(dst);
  append(b, mac_bytes(src));
  push16(b, 0);
  return p.add({.kind = Packet::Kind::kEth, .proto = 0, .bytes = std::move(b)});
}
Packet ip4(std::string_view src, std::string_view dst, const Ip4& o) {
  return Packet().ip4(src, dst, o);
}
Packet ip6(std::string_view src, std::string_view dst, const Ip6& o) {
  return Packet().ip6(src, dst, o);
}

Packet& Packet::add(Layer layer) {
  layers_.push_back(std::move(layer));
  return *this;
}

Packet& Packet::vlan(uint16_t id, uint16_t ether_type) {
  Bytes b;
  push16(b, id);
  push16(b, 0);
  // A tag's ether type stands in front of it: kept where proto_behind() of other layers keeps its number.
  return add({.kind = Kind::kVlan, .proto = static_cast<uint8_t>(ether_type == 0x88a8), .bytes = std::move(b)});
}

Packet& Packet::ip4(std::string_view src, std::string_view dst, const Ip4& o) {
  const Bytes options = padded4(o.options);
  Bytes b;
  b.push_back(o.version_ihl.value_or(static_cast<uint8_t>(0x45 + options.size() / 4)));
  b.push_back(o.tos);
  push16(b, o.total_length.value_or(0));
  push16(b, o.id);
  push16(b, (o.df ? 0x4000u : 0u) | (o.mf ? 0x2000u : 0u) | o.offset);
  b.push_back(o.ttl);
  b.push_back(o.proto.value_or(0));
  push16(b, o.csum.value_or(0));
  append(b, ip4_bytes(src));
  append(b, ip4_bytes(dst));
  append(b, options);
  return add({.kind = Kind::kIp4,
              .proto = 4,
              .bytes = std::move(b),
              .fix_length = !o.total_length,
              .fix_proto = !o.proto,
              .fix_csum = !o.csum});
}

Packet& Packet::ip6(std::string_view src, std::string_view dst, const Ip6& o) {
  Bytes b;
  push32(b, static_cast<uint32_t>(o.version.value_or(6)) << 28 | static_cast<uint32_t>(o.tos) << 20 | o.label);
  push16(b, o.payload_length.value_or(0));
  b.push_back(o.next.value_or(0));
  b.push_back(o.hop_limit);
  append(b, ip6_bytes(src));
  append(b, ip6_bytes(dst));
  return add(
      {.kind = Kind::kIp6, .proto = 41, .bytes = std::move(b), .fix_length = !o.payload_length, .fix_proto = !o.next});
}

Packet& Packet::extension(uint8_t proto, size_t bytes) {
  const bool ah = proto == 51;  // RFC 4302 section 2.2: length in 4-byte units minus 2
  if (bytes % (ah ? 4 : 8) != 0 || bytes < (ah ? 12u : 8u)) bad("extension header size", std::to_string(bytes));
  Bytes b(bytes);
  b[1] = static_cast<uint8_t>(ah ? bytes / 4 - 2 : bytes / 8 - 1);
  if (proto == 0 || proto == 60) {  // PadN options (RFC 8200 section 4.2), so that a receiver accepts it
    for (size_t at = 2; at < bytes;) {
      const size_t n = std::min<size_t>(bytes - at, 257);
      if (n == 1) break;  // one zero byte is Pad1
      b[at] = 1;
      b[at + 1] = static_cast<uint8_t>(n - 2);
      at += n;
    }
  }
  return add({.kind = Kind::kExtension, .proto = proto, .bytes = std::move(b)});
}

Packet& Packet::fragment6(uint16_t offset, bool more, uint32_t id) {
  Bytes b{0, 0};
  push16(b, static_cast<uint32_t>(offset) << 3 | (more ? 1u : 0u));
  push32(b, id);
  return add({.kind = Kind::kExtension, .proto = 44, .bytes = std::move(b)});
}

Packet& Packet::tcp(uint16_t sport, uint16_t dport, const Tcp& o) {
  const Bytes options = padded4(o.options);
  Bytes b;
  push16(b, sport);
  push16(b, dport);
  push32(b, o.seq);
  push32(b, o.ack);
  b.push_back(static_cast<uint8_t>(o.data_offset.value_or(static_cast<uint8_t>(5 + options.size() / 4)) << 4));
  b.push_back(o.flags);
  push16(b, o.window);
  push16(b, o.csum.value_or(0));
  push16(b, 0);
  append(b, options);
  return add({.kind = Kind::kTcp, .proto = 6, .bytes = std::move(b), .fix_csum = !o.csum});
}

Packet& Packet::udp(uint16_t sport, uint16_t dport, const Udp& o) {
  Bytes b;
  push16(b, sport);
  push16(b, dport);
  push16(b, o.length.value_or(0));
  push16(b, o.csum.value_or(0));
  return add({.kind = Kind::kUdp, .proto = 17, .bytes = std::move(b), .fix_length = !o.length, .fix_csum = !o.csum});
}

Packet& Packet::icmp(uint8_t type, uint8_t code, uint32_t rest) {
  Bytes b{type, code, 0, 0};
  push32(b, rest);
  return add({.kind = Kind::kIcmp, .proto = 1, .bytes = std::move(b)});
}
Packet& Packet::icmp6(uint8_t type, uint8_t code, uint32_t rest) {
  Bytes b{type, code, 0, 0};
  push32(b, rest);
  return add({.kind = Kind::kIcmp6, .proto = 58, .bytes = std::move(b)});
}

Packet& Packet::payload(std::string_view text) {
  return add({.kind = Kind::kPayload, .proto = 59, .bytes = Bytes(text.begin(), text.end())});
}
Packet& Packet::payload_size(size_t bytes) {
  Bytes b(bytes);
  for (size_t i = 0; i < bytes; i++) b[i] = static_cast<uint8_t>('a' + i % 26);
  return add({.kind = Kind::kPayload, .proto = 59, .bytes = std::move(b)});
}
Packet& Packet::padding(size_t bytes) {
  return add({.kind = Kind::kPadding, .proto = 0, .bytes = Bytes(bytes, 0xee)});
}
Packet& Packet::then(const Packet& inner) {
  layers_.insert(layers_.end(), inner.layers_.begin(), inner.layers_.end());
  if (inner.cut_) bad("a cut packet cannot be an inner one", "then()");
  return *this;
}
Packet& Packet::cut(size_t bytes) {
  cut_ = bytes;
  return *this;
}

uint16_t Packet::ether_type_behind(size_t index) const {
  if (index + 1 >= layers_.size()) return 0xffff;
  switch (layers_[index + 1].kind) {
    case Kind::kVlan:
      return layers_[index + 1].proto != 0 ? 0x88a8 : 0x8100;
    case Kind::kIp4:
      return 0x0800;
    case Kind::kIp6:
      return 0x86dd;
    default:
      return 0x88b5;  // IEEE local experimental
  }
}
uint8_t Packet::proto_behind(size_t index) const {
  return index + 1 < layers_.size() ? layers_[index + 1].proto : 59;
}

// Fills in what layer `index` at offset `at` says about itself and what follows up to `end`; ip_at: of the innermost IP
// header in front.
void Packet::fix(size_t index, Bytes& out, size_t at, size_t end, size_t ip_at) const {
  const Layer& l = layers_[index];
  const auto rest = std::span(out).subspan(at, end - at);
  switch (l.kind) {
    case Kind::kEth:
      return put16(out, at + 12, ether_type_behind(index));
    case Kind::kVlan:
      return put16(out, at + 2, ether_type_behind(index));
    case Kind::kIp4:
      if (l.fix_length) put16(out, at + 2, static_cast<uint32_t>(end - at));
      if (l.fix_proto) out[at + 9] = proto_behind(index);
      if (l.fix_csum) put16(out, at + 10, checksum(rest.first(l.bytes.size())));
      return;
    case Kind::kIp6:
      if (l.fix_length) put16(out, at + 4, static_cast<uint32_t>(end - at - 40));
      if (l.fix_proto) out[at + 6] = proto_behind(index);
      return;
    case Kind::kExtension:
      out[at] = proto_behind(index);
      return;
    case Kind::kTcp:
      if (l.fix_csum) put16(out, at + 16, checksum(rest, pseudo_header(out, ip_at, 6, rest.size())));
      return;
    case Kind::kUdp:
      if (l.fix_length) put16(out, at + 4, static_cast<uint32_t>(rest.size()));
      if (l.fix_csum) {
        const uint16_t sum = checksum(rest, pseudo_header(out, ip_at, 17, rest.size()));
        put16(out, at + 6, sum == 0 ? 0xffff : sum);  // RFC 768: 0 means none
      }
      return;
    case Kind::kIcmp:
      return put16(out, at + 2, checksum(rest));
    case Kind::kIcmp6:
      return put16(out, at + 2, checksum(rest, pseudo_header(out, ip_at, 58, rest.size())));
    case Kind::kPayload:
    case Kind::kPadding:
      return;
  }
}

Bytes Packet::bytes() const {
  Bytes out;
  std::vector<size_t> at, ip_at;
  size_t end = 0, ip = 0;
  for (const Layer& l : layers_) {
    if (l.kind == Kind::kIp4 || l.kind == Kind::kIp6) ip = out.size();
    at.push_back(out.size());
    ip_at.push_back(ip);
    append(out, l.bytes);
    if (l.kind != Kind::kPadding) end = out.size();
  }
  // From the inside out: outer checksums never cover a field that is still to be filled.
  for (size_t i = layers_.size(); i-- > 0;) fix(i, out, at[i], std::max(end, at[i]), ip_at[i]);
  if (cut_ && *cut_ < out.size()) out.resize(*cut_);
  return out;
}

}  // namespace lb::packet
