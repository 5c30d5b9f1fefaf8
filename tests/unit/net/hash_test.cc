#include "dataplane/net/hash.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "dataplane/net/address.h"

namespace lb::net {
namespace {

// Key 00 01 .. 0f, as in the paper's appendix and in docs/decisions/001-flow-hash.md.
constexpr lb_hash_key kKey{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};

Address addr(std::string_view text) {
  return Address::parse(text).value();
}

uint32_t word(std::string_view ipv4) {
  uint32_t w;
  std::memcpy(&w, addr(ipv4).ipv4_bytes(), 4);
  return w;
}

uint32_t ports(uint16_t source, uint16_t destination) {
  return lb_htons(source) | static_cast<uint32_t>(lb_htons(destination)) << 16;
}

uint64_t hash4(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport, uint8_t proto) {
  return lb_flow_hash4(&kKey, word(src), word(dst), ports(sport, dport), proto);
}

uint64_t hash6(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport, uint8_t proto) {
  const Address s = addr(src), d = addr(dst);
  return lb_flow_hash6(&kKey, s.bytes().data(), d.bytes().data(), ports(sport, dport), proto);
}

uint64_t source6(std::string_view masked) {
  const Address a = addr(masked);
  return lb_source_hash6(&kKey, lb_load64(a.bytes().data()), lb_load64(a.bytes().data() + 8));
}

// Our round, put together as SipHash-c-d over any message.
uint64_t siphash(int compressions, int finals, const std::vector<uint8_t>& message) {
  std::vector<uint8_t> padded = message;
  padded.resize((message.size() / 8 + 1) * 8);
  padded.back() = static_cast<uint8_t>(message.size());
  lb_sip s;
  lb_sip_init(&s, &kKey);
  for (size_t i = 0; i < padded.size(); i += 8) {
    const uint64_t m = lb_load64(&padded[i]);
    s.v3 ^= m;
    for (int r = 0; r < compressions; r++) lb_sip_round(&s);
    s.v0 ^= m;
  }
  s.v2 ^= 0xff;
  for (int r = 0; r < finals; r++) lb_sip_round(&s);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

std::vector<uint8_t> counting(size_t n) {
  std::vector<uint8_t> message(n);
  for (size_t i = 0; i < n; i++) message[i] = static_cast<uint8_t>(i);
  return message;
}

// Vectors of the authors' reference code for SipHash-2-4; length 15 is the one of the paper's appendix.
TEST(SipHash, RoundsAreThoseOfThePaper) {
  EXPECT_EQ(siphash(2, 4, counting(0)), 0x726fdb47dd0e0e31ull);
  EXPECT_EQ(siphash(2, 4, counting(1)), 0x74f839c593dc67fdull);
  EXPECT_EQ(siphash(2, 4, counting(8)), 0x93f5f5799a932462ull);
  EXPECT_EQ(siphash(2, 4, counting(15)), 0xa129ca6149be45e5ull);
  EXPECT_EQ(siphash(2, 4, counting(63)), 0x958a324ceb064572ull);
}

// Checked against CPython 3.11, whose str hash is SipHash-1-3.
TEST(SipHash, OneThree) {
  EXPECT_EQ(siphash(1, 3, counting(0)), 0xabac0158050fc4dcull);
  EXPECT_EQ(siphash(1, 3, counting(1)), 0xc9f49bf37d57ca93ull);
  EXPECT_EQ(siphash(1, 3, counting(8)), 0x369095118d299a8eull);
  EXPECT_EQ(siphash(1, 3, counting(15)), 0xd320d86d2a519956ull);
  EXPECT_EQ(siphash(1, 3, counting(63)), 0x9d199062b7bbb3a8ull);
}

TEST(FlowHash, IsSipHash13OverTheTupleInNetworkOrder) {
  const std::vector<uint8_t> tuple = {198, 51, 100, 7, 192, 0, 2, 10, 0x9c, 0x40, 0, 80, 6};
  EXPECT_EQ(hash4("198.51.100.7", 40000, "192.0.2.10", 80, 6), siphash(1, 3, tuple));
  std::vector<uint8_t> six;
  for (const char* a : {"2001:db8:f::7", "2001:db8::10"}) {
    const Address address = addr(a);
    six.insert(six.end(), address.bytes().begin(), address.bytes().end());
  }
  six.insert(six.end(), {0x9c, 0x40, 1, 0xbb, 6});
  EXPECT_EQ(hash6("2001:db8:f::7", 40000, "2001:db8::10", 443, 6), siphash(1, 3, six));
}

// Frozen: hash-version 1. A fleet of mixed releases depends on them.
TEST(FlowHash, Ipv4Vectors) {
  EXPECT_EQ(hash4("198.51.100.7", 40000, "192.0.2.10", 80, 6), 0xfa43b87de3e4a666ull);
  EXPECT_EQ(hash4("198.51.100.7", 40001, "192.0.2.10", 80, 6), 0x453b30345eecb2e6ull);
  EXPECT_EQ(hash4("198.51.100.7", 40000, "192.0.2.10", 80, 17), 0x8b6ae32195b2506full);
  EXPECT_EQ(hash4("0.0.0.0", 0, "0.0.0.0", 0, 0), 0x23c1a1b1aaa0af63ull);
  EXPECT_EQ(hash4("255.255.255.255", 65535, "255.255.255.255", 65535, 255), 0xfe140ad8ca5c77d2ull);
}

TEST(FlowHash, Ipv6Vectors) {
  EXPECT_EQ(hash6("2001:db8:f::7", 40000, "2001:db8::10", 443, 6), 0x338664b61c024bd2ull);
  EXPECT_EQ(hash6("2001:db8:f::7", 40000, "2001:db8::10", 443, 17), 0x204b1e145f04af7eull);
  EXPECT_EQ(hash6("::", 0, "::", 0, 0), 0xc0a67181f905a146ull);
}

TEST(SourceHash, Vectors) {
  EXPECT_EQ(lb_source_hash4(&kKey, word("198.51.100.7")), 0xbea1e9d79020926aull);
  EXPECT_EQ(lb_source_hash4(&kKey, word("198.51.100.0")), 0xeadee8883ffb4165ull);  // /24
  EXPECT_EQ(lb_source_hash4(&kKey, word("128.0.0.0")), 0x0c5df574c4cb81a4ull);     // /1
  EXPECT_EQ(source6("2001:db8:f:1:2:3:4:5"), 0x055a92aa51c424e1ull);
  EXPECT_EQ(source6("2001:db8:f:1::"), 0x87d2d2a16ff3aa80ull);  // /64
  EXPECT_EQ(source6("2001:db8::"), 0xc668df69bbb51a68ull);      // /33
}

TEST(Slot, IsTheHighHalfScaled) {
  EXPECT_EQ(lb_slot(0xfa43b87de3e4a666ull, 65537), 64068u);
  EXPECT_EQ(lb_slot(0x338664b61c024bd2ull, 251), 50u);
  EXPECT_EQ(lb_slot(0, 65537), 0u);
  EXPECT_EQ(lb_slot(~0ull, 65537), 65536u);
  EXPECT_EQ(lb_slot(~0ull, 655373), 655372u);
  EXPECT_EQ(lb_slot(0x00000000ffffffffull, 65537), 0u);
}

}  // namespace
}  // namespace lb::net
