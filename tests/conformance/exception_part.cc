#include "tests/conformance/exception_part.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace lb::conformance {
namespace {

using packet::Bytes;

struct Ip {
  size_t at = 0;     // of its header in the frame
  size_t bytes = 0;  // of the frame from there on
  bool is_v6 = false;
};

uint32_t number(const Bytes& f, size_t at) {
  return static_cast<uint32_t>(f[at] << 8 | f[at + 1]);
}

// Of a frame to the port's MAC that is long enough for a destination.
std::optional<Ip> ip_of(const Bytes& f) {
  const Bytes mac = packet::mac_bytes(packet::kPortMac);
  if (f.size() < 14 || !std::equal(mac.begin(), mac.end(), f.begin())) return {};
  size_t at = 14;
  for (int tags = 0; tags < 2 && (number(f, at - 2) == 0x8100 || number(f, at - 2) == 0x88a8); tags++)
    if ((at += 4) > f.size()) return {};
  const uint32_t type = number(f, at - 2);
  if (type == 0x0800 && f.size() >= at + 20) return Ip{at, f.size() - at, false};
  if (type == 0x86dd && f.size() >= at + 40) return Ip{at, f.size() - at, true};
  return {};
}

net::Address address_at(const Bytes& f, size_t at, bool is_v6) {
  lb_addr a{};
  a.b[10] = a.b[11] = 0xff;
  std::memcpy(is_v6 ? a.b : a.b + 12, &f[at], is_v6 ? 16 : 4);
  return net::Address(a);
}

bool is_bad_source4(const uint8_t* a) {
  return a[0] == 0 || a[0] == 127 || (a[0] & 0xf0) == 0xe0 || (a[0] & a[1] & a[2] & a[3]) == 0xff;
}
bool is_bad_source6(const Bytes& f, size_t at) {
  const auto zeros = std::find_if(f.begin() + static_cast<ptrdiff_t>(at), f.begin() + static_cast<ptrdiff_t>(at) + 16,
                                  [](uint8_t b) { return b != 0; });
  const auto count = zeros - (f.begin() + static_cast<ptrdiff_t>(at));
  return f[at] == 0xff || count == 16 || (count == 15 && f[at + 15] == 1) || address_at(f, at, true).is_ipv4();
}

// What is behind the IP header, of a whole packet in which nothing was wrong so far.
bool is_l4_for_it(const Bytes& f, size_t at, size_t bytes, uint8_t proto, bool is_v6, uint8_t hops) {
  if (proto == (is_v6 ? 58 : 1)) {
    if (bytes < 8) return false;
    return is_v6 ? (f[at] >= 1 && f[at] <= 4) || f[at] == 128 : f[at] == 3 || f[at] == 11 || f[at] == 12 || f[at] == 8;
  }
  if (proto == 6 && (bytes < 20 || f[at + 12] >> 4 < 5 || size_t{f[at + 12]} / 16 * 4 > bytes)) return false;
  if (proto == 17 && (bytes < 8 || number(f, at + 4) < 8 || number(f, at + 4) > bytes)) return false;
  return hops <= 1;
}

bool is_ipv4_for_it(const Bytes& f, const Ip& ip) {
  if (f[ip.at] >> 4 != 4 || (f[ip.at] & 15) < 5) return false;
  if ((f[ip.at] & 15) > 5) return true;
  const size_t total = number(f, ip.at + 2);
  if (total < 20 || total > ip.bytes) return false;
  if (packet::checksum(std::span(f).subspan(ip.at, 20)) != 0) return false;
  if ((number(f, ip.at + 6) & 0x3fff) != 0) return true;
  if (is_bad_source4(&f[ip.at + 12])) return false;
  return is_l4_for_it(f, ip.at + 20, total - 20, f[ip.at + 9], false, f[ip.at + 8]);
}

bool is_extension(uint8_t next) {
  constexpr uint8_t kExtensions[] = {0, 43, 44, 51, 60, 135};
  return std::ranges::find(kExtensions, next) != std::end(kExtensions);
}

bool is_ipv6_for_it(const Bytes& f, const Ip& ip) {
  const size_t l4 = ip.at + 40, bytes = number(f, ip.at + 4);
  const uint8_t next = f[ip.at + 6];
  if (f[ip.at] >> 4 != 6 || ip.bytes < 40 + bytes) return false;
  if (is_extension(next)) return true;
  const bool is_discovery = next == 58 && bytes > 0 && ((f[l4] >= 130 && f[l4] <= 137) || f[l4] == 143);
  if (is_discovery || is_bad_source6(f, ip.at + 8)) return false;
  return is_l4_for_it(f, l4, bytes, next, true, f[ip.at + 7]);
}

// Before anything but the header's own form was looked at: our own addresses as source do not matter then.
bool is_unread(const Bytes& f, const Ip& ip) {
  return ip.is_v6 ? is_extension(f[ip.at + 6]) : (f[ip.at] & 15) > 5 || (number(f, ip.at + 6) & 0x3fff) != 0;
}

}  // namespace

bool is_for_exception_path(const Bytes& f, const std::set<net::Address>& owned) {
  const std::optional<Ip> ip = ip_of(f);
  if (!ip) return false;
  const net::Address dst = address_at(f, ip->at + (ip->is_v6 ? 24 : 16), ip->is_v6);
  if (dst.is_ipv4() == ip->is_v6 || !owned.contains(dst)) return false;
  if (!(ip->is_v6 ? is_ipv6_for_it(f, *ip) : is_ipv4_for_it(f, *ip))) return false;
  return is_unread(f, *ip) || !owned.contains(address_at(f, ip->at + (ip->is_v6 ? 8 : 12), ip->is_v6));
}

}  // namespace lb::conformance
