// Short words for the case files: who is who in the world edge() (its picture is in world.cc).
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"

namespace lb::conformance {

using packet::eth;
using packet::ip4;
using packet::ip6;
using packet::Packet;

using Octets = std::initializer_list<uint8_t>;
using Ports = std::initializer_list<uint16_t>;

inline constexpr std::string_view kClient4 = "198.51.100.7", kClient6 = "2001:db8:c::7";
inline constexpr std::string_view kSelf4 = "10.0.0.1", kSelf6 = "2001:db8:1::1";
inline constexpr std::string_view kLanMac = "02:00:00:00:00:02", kGatewayMac = "02:00:00:00:00:0a";
inline constexpr std::string_view kB11Mac = "02:00:00:00:01:11", kB12Mac = "02:00:00:00:01:12",
                                  kB14Mac = "02:00:00:00:01:14";

// Frames as they leave through lan.
inline Packet to_b11() {
  return eth(kB11Mac, kLanMac);
}
inline Packet to_b12() {
  return eth(kB12Mac, kLanMac);
}
inline Packet to_gateway() {
  return eth(kGatewayMac, kLanMac);
}
// Behind an outer header to a backend: RFC 2003, RFC 2473; tos is the inner one.
inline Packet tunnel4(Packet frame, const Packet& inner, std::string_view backend = "10.0.0.11", uint8_t tos = 0) {
  return frame.ip4(kSelf4, backend, {.tos = tos}).then(inner);
}
// label: the low 20 bits of the flow's hash.
inline Packet tunnel6(Packet frame, const Packet& inner, uint32_t label, uint8_t tos = 0) {
  return frame.ip6(kSelf6, "2001:db8:1::12", {.tos = tos, .label = label}).then(inner);
}
inline Packet in(const Packet& ip) {
  return eth().then(ip);
}

struct Chosen {
  std::string name, address, mac;
};
// Pool many.
inline const Chosen kM1{"many/m1", "10.0.1.1", "02:00:00:00:02:01"}, kM2{"many/m2", "10.0.1.2", "02:00:00:00:02:02"},
    kM3{"many/m3", "2001:db8:1::3", "02:00:00:00:02:03"};

// label counts when the backend is an IPv6 one.
inline Expect tunnelled(const Chosen& b, const Packet& inner, uint32_t label, std::string service) {
  Packet frame = eth(b.mac, kLanMac);
  if (b.address.find(':') == std::string::npos)
    frame.ip4(kSelf4, b.address);
  else
    frame.ip6(kSelf6, b.address, {.label = label});
  return forwarded(frame.then(inner), kLan, std::move(service), b.name);
}

class CaseList {
 public:
  explicit CaseList(const World& world) : world_(world) {}
  void add(std::string name, Packet frame, Expect expect, uint16_t headroom = kHeadroom) {
    cases_.push_back({.name = std::move(name),
                      .world = &world_,
                      .steps = {{std::move(frame), std::move(expect)}},
                      .headroom = headroom});
  }
  void add(Case c) { cases_.push_back(std::move(c)); }
  std::vector<Case> take() { return std::move(cases_); }

 private:
  const World& world_;
  std::vector<Case> cases_;
};

}  // namespace lb::conformance
