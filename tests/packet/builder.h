// Packets as code: layers from the outside in; lengths, protocol numbers and checksums are filled in when the bytes
// are asked for, unless a test sets one on purpose. Shares no code with the datapath, so that it can judge it.
//
//   Packet p = eth().ip4("198.51.100.7", "192.0.2.10").tcp(40000, 80).payload("hi");
//   Packet q = eth().vlan(5).ip4(a, b, {.ttl = 1, .csum = 0xdead}).udp(1, 2, {.length = 7});
//   Packet t = eth().ip4(self, backend).then(ip4(a, b).tcp(40000, 80));   // IP in IP
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lb::packet {

using Bytes = std::vector<uint8_t>;

// Addresses that frames carry when a test does not care: to our port, from the client's router.
inline constexpr std::string_view kPortMac = "02:00:00:00:00:01";
inline constexpr std::string_view kRouterMac = "02:00:00:00:00:fe";

// Optional fields replace what would have been computed. All numbers are in host order.
struct Ip4 {
  uint8_t tos = 0, ttl = 64;
  uint16_t id = 0;
  bool df = true, mf = false;
  uint16_t offset = 0;  // of a fragment, in 8-byte units
  Bytes options = {};   // padded with zeros to a multiple of 4
  std::optional<uint8_t> version_ihl = {}, proto = {};
  std::optional<uint16_t> total_length = {}, csum = {};
};
struct Ip6 {
  uint8_t tos = 0, hop_limit = 64;
  uint32_t label = 0;
  std::optional<uint8_t> version = {}, next = {};
  std::optional<uint16_t> payload_length = {};
};
struct Tcp {
  uint8_t flags = 0x02;  // SYN
  uint32_t seq = 1, ack = 0;
  uint16_t window = 65535;
  Bytes options = {};                       // padded with zeros to a multiple of 4
  std::optional<uint8_t> data_offset = {};  // in 32-bit words
  std::optional<uint16_t> csum = {};
};
struct Udp {
  std::optional<uint16_t> length = {}, csum = {};
};

class Packet {
 public:
  Packet& vlan(uint16_t id, uint16_t ether_type = 0x8100);
  Packet& ip4(std::string_view src, std::string_view dst, const Ip4& o = {});
  Packet& ip6(std::string_view src, std::string_view dst, const Ip6& o = {});
  // IPv6 extension headers of `bytes` bytes (a multiple of 8, AH: of 4 and at least 12) that say so themselves.
  Packet& extension(uint8_t proto, size_t bytes = 8);
  Packet& fragment6(uint16_t offset, bool more, uint32_t id = 7);
  Packet& tcp(uint16_t sport, uint16_t dport, const Tcp& o = {});
  Packet& udp(uint16_t sport, uint16_t dport, const Udp& o = {});
  Packet& icmp(uint8_t type, uint8_t code = 0, uint32_t rest = 0);   // IPv4's
  Packet& icmp6(uint8_t type, uint8_t code = 0, uint32_t rest = 0);  // IPv6's
  Packet& payload(std::string_view text);
  Packet& payload_size(size_t bytes);  // a pattern
  Packet& padding(size_t bytes);       // behind the IP packet, in no length
  Packet& then(const Packet& inner);   // its layers behind ours
  // The last step: only the first n bytes of the frame; layers' lengths stay as if nothing had been cut.
  Packet& cut(size_t bytes);

  Bytes bytes() const;

 private:
  friend Packet eth(std::string_view dst, std::string_view src);
  enum class Kind : uint8_t { kEth, kVlan, kIp4, kIp6, kExtension, kTcp, kUdp, kIcmp, kIcmp6, kPayload, kPadding };
  struct Layer {
    Kind kind;
    uint8_t proto;  // its number in the header in front
    Bytes bytes;
    bool fix_length = true, fix_proto = true, fix_csum = true;
  };
  Packet& add(Layer layer);
  void fix(size_t index, Bytes& out, size_t at, size_t end, size_t ip_at) const;
  uint16_t ether_type_behind(size_t index) const;
  uint8_t proto_behind(size_t index) const;

  std::vector<Layer> layers_;
  std::optional<size_t> cut_;
};

Packet eth(std::string_view dst = kPortMac, std::string_view src = kRouterMac);
Packet ip4(std::string_view src, std::string_view dst, const Ip4& o = {});  // without Ethernet: to be an inner packet
Packet ip6(std::string_view src, std::string_view dst, const Ip6& o = {});

// One line a layer, then a hex dump. Never reads past the end, whatever the bytes are.
std::string describe(std::span<const uint8_t> frame);
// Empty when equal; else both frames decoded and the offset of the first difference.
std::string difference(std::span<const uint8_t> expected, std::span<const uint8_t> actual);

// Plain RFC 1071 over any bytes, the reference of the checksum tests; returns the field in host order.
uint16_t checksum(std::span<const uint8_t> bytes, uint32_t start = 0);

Bytes mac_bytes(std::string_view text);
Bytes ip4_bytes(std::string_view text);
Bytes ip6_bytes(std::string_view text);

}  // namespace lb::packet
