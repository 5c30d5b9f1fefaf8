#include "dataplane/net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

namespace lb::net {
namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Error invalid(std::string sentence) {
  return {Code::kInvalid, std::move(sentence)};
}

// Bytes of `a` that count for its family.
std::span<const uint8_t> significant(const Address& a) {
  const auto& b = a.bytes();
  return a.is_ipv4() ? std::span(b).subspan<12>() : std::span<const uint8_t>(b);
}

bool host_bits_are_zero(std::span<const uint8_t> bytes, unsigned length) {
  for (unsigned bit = length; bit < bytes.size() * 8; bit++)
    if (bytes[bit / 8] & (0x80u >> bit % 8)) return false;
  return true;
}

uint64_t load_be64(const uint8_t* p) {
  uint64_t x;
  std::memcpy(&x, p, sizeof x);
  return __builtin_bswap64(x);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// inet_ntop writes a few blocks of ::/8 with a dotted tail (RFC 4291 2.2.3), which RFC 5952 section 5 allows.
std::string format_ipv6(const uint8_t* bytes) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, bytes, text, sizeof text);
}

}  // namespace

Address::Address(const lb_addr& raw) noexcept {
  std::copy_n(raw.b, 16, bytes_.begin());
}

Address Address::from_ipv4(const uint8_t bytes[4]) noexcept {
  Address a;
  std::ranges::copy(kMapped, a.bytes_.begin());
  std::copy_n(bytes, 4, a.bytes_.begin() + 12);
  return a;
}

Address Address::from_ipv6(const uint8_t bytes[16]) noexcept {
  Address a;
  std::copy_n(bytes, 16, a.bytes_.begin());
  return a;
}

Result<Address> Address::parse(std::string_view text) {
  const std::string copy(text);
  uint8_t bytes[16];
  if (text.find('\0') != std::string_view::npos)
    return invalid("address with a NUL byte: write 192.0.2.1 or 2001:db8::1");
  if (inet_pton(AF_INET, copy.c_str(), bytes) == 1) return from_ipv4(bytes);
  if (inet_pton(AF_INET6, copy.c_str(), bytes) == 1) return from_ipv6(bytes);
  if (text.find('/') != std::string_view::npos)
    return invalid(fmt::format("'{}' is a prefix, not an address: leave out '{}'", text, text.substr(text.find('/'))));
  if (text.find('%') != std::string_view::npos)
    return invalid(fmt::format("address '{}' has a zone: leave out '{}'", text, text.substr(text.find('%'))));
  if (text.starts_with('[') && text.ends_with(']'))
    return invalid(fmt::format("address '{}': brackets are only for an address with a port", text));
  return invalid(fmt::format("'{}' is not an IP address: write it like 192.0.2.1 or 2001:db8::1", text));
}

Family Address::family() const noexcept {
  const bool mapped = load_be64(bytes_.data()) == 0 && load_be64(bytes_.data() + 8) >> 32 == 0xffff;
  return mapped ? Family::kIpv4 : Family::kIpv6;
}

lb_addr Address::raw() const noexcept {
  lb_addr a;
  std::ranges::copy(bytes_, a.b);
  return a;
}

bool Address::is_unspecified() const noexcept {
  return std::ranges::all_of(significant(*this), [](uint8_t b) { return b == 0; });
}

bool Address::is_multicast() const noexcept {
  return is_ipv4() ? (bytes_[12] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

bool Address::is_loopback() const noexcept {
  if (is_ipv4()) return bytes_[12] == 127;
  return bytes_[15] == 1 && std::all_of(bytes_.begin(), bytes_.end() - 1, [](uint8_t b) { return b == 0; });
}

bool Address::is_link_local() const noexcept {
  if (is_ipv4()) return bytes_[12] == 169 && bytes_[13] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool Address::is_broadcast() const noexcept {
  return is_ipv4() && std::all_of(bytes_.begin() + 12, bytes_.end(), [](uint8_t b) { return b == 0xff; });
}

std::string Address::to_string() const {
  if (is_ipv4()) return fmt::format("{}.{}.{}.{}", bytes_[12], bytes_[13], bytes_[14], bytes_[15]);
  return format_ipv6(bytes_.data());
}

std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept {
  if (auto order = a.family() <=> b.family(); order != 0) return order;
  if (auto order = load_be64(a.bytes_.data()) <=> load_be64(b.bytes_.data()); order != 0) return order;
  return load_be64(a.bytes_.data() + 8) <=> load_be64(b.bytes_.data() + 8);
}

Result<Mac> Mac::parse(std::string_view text) {
  const Error bad = invalid(fmt::format("'{}' is not a MAC address: write it like 02:00:5e:10:00:01", text));
  if (text.size() != 17) return bad;
  Mac mac;
  for (size_t i = 0; i < 6; i++) {
    const int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) return bad;
    mac.bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return mac;
}

std::string Mac::to_string() const {
  return fmt::format("{:02x}", fmt::join(bytes, ":"));
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  auto address = Address::parse(text.substr(0, slash));
  if (!address) return address.error();
  const unsigned bits = address->is_ipv4() ? 32 : 128;
  unsigned length = bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc() || end != digits.data() + digits.size() || length > bits ||
        (digits.size() > 1 && digits[0] == '0'))
      return invalid(fmt::format("prefix '{}': the length after '/' must be 0 to {}", text, bits));
  }
  if (!host_bits_are_zero(significant(*address), length))
    return invalid(fmt::format("prefix '{}' has bits set beyond its {}: a single address is '{}/{}'", text, length,
                               address->to_string(), bits));
  return Prefix{*address, static_cast<uint8_t>(length)};
}

bool Prefix::contains(const Address& a) const noexcept {
  if (a.family() != address.family()) return false;
  const auto mine = significant(address), other = significant(a);
  const size_t whole = length / 8;
  if (!std::equal(mine.begin(), mine.begin() + whole, other.begin())) return false;
  return length % 8 == 0 || ((mine[whole] ^ other[whole]) >> (8 - length % 8)) == 0;
}

std::string Prefix::to_string() const {
  return fmt::format("{}/{}", address.to_string(), length);
}

}  // namespace lb::net
