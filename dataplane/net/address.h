// IP addresses, prefixes, MAC addresses, listeners' endpoints: parse, format, compare. Value types.
// Parsing is strict (inet_pton's forms; no leading zeros in IPv4 octets, no zone ids); errors name the text and the
// rule.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/net/abi.h"
#include "dataplane/net/ids.h"
#include "dataplane/net/result.h"

namespace lb::net {

// 16 bytes, network order, IPv4 mapped into ::ffff:0:0/96. Order is (family, bytes).
class Address {
 public:
  constexpr Address() = default;
  explicit Address(const lb_addr& raw) noexcept;
  static Address from_ipv4(const uint8_t bytes[4]) noexcept;
  static Address from_ipv6(const uint8_t bytes[16]) noexcept;  // a mapped IPv4 address becomes IPv4
  static Result<Address> parse(std::string_view text);

  Family family() const noexcept;
  bool is_ipv4() const noexcept { return family() == Family::kIpv4; }
  const std::array<uint8_t, 16>& bytes() const noexcept { return bytes_; }
  const uint8_t* ipv4_bytes() const noexcept { return bytes_.data() + 12; }  // REQUIRES: is_ipv4()
  lb_addr raw() const noexcept;
  bool is_unspecified() const noexcept;
  bool is_multicast() const noexcept;
  bool is_loopback() const noexcept;
  bool is_link_local() const noexcept;
  bool is_broadcast() const noexcept;  // 255.255.255.255
  std::string to_string() const;       // 192.0.2.1, 2001:db8::1 (RFC 5952)

  friend bool operator==(const Address&, const Address&) = default;
  friend std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept;

 private:
  std::array<uint8_t, 16> bytes_{};
};

struct Mac {
  std::array<uint8_t, 6> bytes{};
  static Result<Mac> parse(std::string_view text);  // aa:bb:cc:dd:ee:ff
  std::string to_string() const;
  friend auto operator<=>(const Mac&, const Mac&) = default;
};

struct Prefix {
  Address address;  // host bits zero
  uint8_t length = 0;
  static Result<Prefix> parse(
      std::string_view text);  // 10.0.0.0/8, 2001:db8::/32; a bare address is a host prefix; host bits set: error
  bool contains(const Address& a) const noexcept;  // families must agree
  std::string to_string() const;
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

// Where a service listens: "192.0.2.10:443/tcp", "192.0.2.10:8000-8100/udp", "[2001:db8::10]:*/tcp".
struct Listener {
  Address address;
  uint16_t first = 0;  // host order; any port: 0
  uint16_t last = 0;   // host order, inclusive; any port: 65535
  IpProto proto = IpProto::kTcp;

  static Result<Listener> parse(std::string_view text);
  bool is_any() const noexcept { return first == 0 && last == 65535; }
  bool is_range() const noexcept { return first != last && !is_any(); }
  bool is_exact() const noexcept { return first == last; }
  std::string to_string() const;
  friend auto operator<=>(const Listener&, const Listener&) = default;
};

// A backend's or client's "10.0.0.1:80" / "[2001:db8::1]:80".
struct Endpoint {
  Address address;
  uint16_t port = 0;  // host order
  static Result<Endpoint> parse(std::string_view text);
  std::string to_string() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

std::string_view to_string(IpProto p) noexcept;      // "tcp", "udp", "icmp", "icmp6"
Result<IpProto> parse_proto(std::string_view text);  // tcp or udp

}  // namespace lb::net
