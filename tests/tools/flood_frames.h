// Frames of a flood and of the flows beside it: one template a kind of packet, into which source address and port are
// put with all checksums kept right.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tests/packet/builder.h"

namespace lb::tools {

// Where everything goes: through the interface of lbd to its listeners.
struct Target {
  std::string_view lbd_mac, own_mac, vip;
  uint16_t port = 0;  // TCP and UDP
};

struct Source {
  uint32_t address;  // host order
  uint16_t port;
};
// Flow i of those that last: 198.18.0.0/16 (RFC 2544), one address a flow.
inline constexpr uint32_t kLasting = 0xc6120000u, kLastingMask = 0xffff0000u;
constexpr Source lasting_source(uint32_t i) {
  return {kLasting | (i & 0xffff), static_cast<uint16_t>(10000 + i % 50000)};
}
// Source k of a flood, no two alike below 2^37: 100.64.0.0/10 (RFC 6598) in an order without pattern, then ports.
constexpr Source flood_source(uint64_t k) {
  return {0x64400000u | (static_cast<uint32_t>(k * 0x9e3779b1u) & 0x3fffffu), static_cast<uint16_t>(1024 + (k >> 22))};
}

class Template {
 public:
  static Template tcp(const Target& to, uint8_t flags);
  static Template udp(const Target& to);
  // The frame from this source, in `out`.
  void make(const Source& from, packet::Bytes& out) const;

 private:
  Template(packet::Bytes frame, size_t l4_csum) : frame_(std::move(frame)), l4_csum_(l4_csum) {}
  packet::Bytes frame_;
  size_t l4_csum_;  // offset of the checksum of TCP or UDP
};

// What a flood sends for each of its sources, one after the other; nothing: there is no such kind.
std::optional<std::vector<Template>> flood_kind(std::string_view name, const Target& to);

}  // namespace lb::tools
