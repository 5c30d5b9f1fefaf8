#include "dataplane/stages/recognise.h"

#include <cstddef>

#include "dataplane/net/headers.h"
#include "dataplane/stages/recognise_lookup.h"

namespace lb::stages {
namespace {

using model::Snapshot;

constexpr uint32_t kLeastFrame = sizeof(lb_eth) + sizeof(lb_ipv4) + sizeof(lb_udp);

struct L4 {
  uint32_t proto, ports;  // ports: as they lie in the packet, source first
  uint32_t tcp;           // Meta::tcp
  uint32_t port_proto() const noexcept { return ports >> 16 | proto << 16; }
};

// Of the IP packet `bytes` are left at l4, 8 at least.
bool read_l4(const uint8_t* l4, uint32_t bytes, uint32_t proto, L4& out) noexcept {
  uint32_t tcp = 0;
  if (proto == LB_PROTO_TCP) {
    if (bytes < sizeof(lb_tcp)) return false;
    const uint32_t word = load<uint16_t>(l4 + offsetof(lb_tcp, data_offset));  // its low byte, flags the high one
    const uint32_t header = (word & 0xf0) >> 2;
    if (header < sizeof(lb_tcp) || header > bytes) return false;
    tcp = (word >> 8 & kTcpFlags) | (bytes > header ? kTcpPayload : 0);
  } else {
    if (proto != LB_PROTO_UDP) return false;
    const uint32_t length = lb_ntohs(load<uint16_t>(l4 + offsetof(lb_udp, length)));
    if (length < sizeof(lb_udp) || length > bytes) return false;
  }
  out = {proto, load<uint32_t>(l4), tcp};
  return true;
}

// The fields behind the addresses, three words of them; the hash between them is hash_flows()'s.
static_assert(offsetof(Meta, sport) == 32 && offsetof(Meta, dport) == 34 && offsetof(Meta, proto) == 36 &&
              offsetof(Meta, family) == 37 && offsetof(Meta, l3) == 38 && offsetof(Meta, l4) == 40 &&
              offsetof(Meta, ip_length) == 42 && offsetof(Meta, service) == 44 && offsetof(Meta, backend) == 56 &&
              offsetof(Meta, fragment) == 58 && offsetof(Meta, tcp) == 59 && offsetof(Meta, address) == 60);
void store(Meta& m, const L4& l4, uint32_t family, uint32_t l3, uint32_t l4_at, uint32_t length,
           uint32_t service) noexcept {
  const uint64_t words[3] = {l4.ports | static_cast<uint64_t>(l4.proto | family << 8 | l3 << 16) << 32,
                             l4_at | length << 16 | static_cast<uint64_t>(service) << 32, uint64_t{l4.tcp} << 24};
  auto* at = reinterpret_cast<uint8_t*>(&m);
  std::memcpy(at + 32, &words[0], 8);
  std::memcpy(at + 40, &words[1], 8);
  std::memcpy(at + 56, &words[2], 8);
}

// A 16-bit number of the packet from the upper half of the 32-bit word in which it lies.
constexpr uint32_t upper_number(uint32_t word) noexcept {
  return __builtin_bswap32(word) & 0xffff;
}

// RETURNS: its listener; null: it may be anything. `length`: of the frame, at least of an IPv4 and a UDP header behind
// l3.
const lb_listener_slot* read_ipv4(const uint8_t* frame, uint32_t l3, uint32_t length, const Lookup& l,
                                  Meta& m) noexcept {
  const uint8_t* ip = frame + l3;
  const auto w0 = load<uint32_t>(ip), w1 = load<uint32_t>(ip + 4);
  // Version 4, 20 bytes of header; neither MF nor an offset.
  if ((w0 & 0xff) != 0x45 || (w1 & 0xff3f0000) != 0) return nullptr;
  const uint32_t bytes = upper_number(w0) - static_cast<uint32_t>(sizeof(lb_ipv4));  // of L4; huge when there are none
  if (bytes - sizeof(lb_udp) > length - l3 - sizeof(lb_ipv4) - sizeof(lb_udp)) return nullptr;
  // The one's complement sum over the header is 0xffff when the checksum is right: as 2^16 is 1 more than 0xffff, a sum
  // of words of any size is then a multiple of that. It is never 0.
  const auto src = load<uint32_t>(ip + offsetof(lb_ipv4, src)), dst = load<uint32_t>(ip + offsetof(lb_ipv4, dst));
  if ((uint64_t{w0} + w1 + load<uint32_t>(ip + 8) + src + dst) % 0xffff != 0) return nullptr;
  // 0/8, 127/8 and all from 224/4 on: some of these are no client's.
  const uint32_t net = src & 0xff;
  if (net - 1 >= 223 || net == 127) return nullptr;
  if (!l.surely_foreign(mapped(src).hash())) return nullptr;
  L4 l4;
  if (!read_l4(ip + sizeof(lb_ipv4), bytes, ip[offsetof(lb_ipv4, proto)], l4)) return nullptr;
  const lb_listener_slot* slot = l.find(mapped(dst), l4.port_proto());
  if (slot == nullptr) return nullptr;
  mapped(src).store(m.src);
  mapped(dst).store(m.dst);
  store(m, l4, 4, l3, l3 + static_cast<uint32_t>(sizeof(lb_ipv4)), bytes + static_cast<uint32_t>(sizeof(lb_ipv4)),
        slot->service);
  return slot;
}

const lb_listener_slot* read_ipv6(const uint8_t* frame, uint32_t l3, uint32_t length, const Lookup& l,
                                  Meta& m) noexcept {
  const uint8_t* ip = frame + l3;
  if (length < l3 + sizeof(lb_ipv6) + sizeof(lb_udp)) return nullptr;
  const auto w1 = load<uint32_t>(ip + 4);  // payload length, next header, hop limit
  const uint32_t payload = lb_ntohs(static_cast<uint16_t>(w1));
  if ((ip[0] & 0xf0) != 0x60 || payload < sizeof(lb_udp) || l3 + sizeof(lb_ipv6) + payload > length) return nullptr;
  const uint8_t* const addresses = ip + offsetof(lb_ipv6, src);
  const Address from = {load<uint64_t>(addresses), load<uint64_t>(addresses + 8)};
  const Address to = {load<uint64_t>(addresses + 16), load<uint64_t>(addresses + 24)};
  // Unspecified, loopback, mapped: all in ::/64. Multicast: ff00::/8.
  if (from.first == 0 || to.first == 0 || (from.first & 0xff) == 0xff) return nullptr;
  if (!l.surely_foreign(from.hash())) return nullptr;
  L4 l4;
  if (!read_l4(ip + sizeof(lb_ipv6), payload, w1 >> 16 & 0xff, l4)) return nullptr;
  const lb_listener_slot* slot = l.find(to, l4.port_proto());
  if (slot == nullptr) return nullptr;
  from.store(m.src);
  to.store(m.dst);
  store(m, l4, 6, l3, l3 + static_cast<uint32_t>(sizeof(lb_ipv6)), payload + static_cast<uint32_t>(sizeof(lb_ipv6)),
        slot->service);
  return slot;
}

constexpr uint16_t kIpv4 = __builtin_bswap16(LB_ETH_IPV4), kIpv6 = __builtin_bswap16(LB_ETH_IPV6);
constexpr bool is_tag(uint16_t type) noexcept {  // as it lies in the packet
  return type == __builtin_bswap16(LB_ETH_VLAN) || type == __builtin_bswap16(LB_ETH_QINQ);
}

const lb_listener_slot* read(Batch& b, Slot i, const Lookup& l) noexcept {
  const uint8_t* frame = b.data[i];
  const uint32_t length = b.length[i];
  if (length < kLeastFrame || !l.is_mac(load<uint64_t>(frame))) return nullptr;
  uint32_t l3 = sizeof(lb_eth);
  auto type = load<uint16_t>(frame + 12);
  for (uint32_t tags = 0; is_tag(type) && tags < 2; tags++) {
    l3 += sizeof(lb_vlan);
    type = load<uint16_t>(frame + l3 - 2);
  }
  if (length < l3 + sizeof(lb_ipv4) + sizeof(lb_udp)) return nullptr;
  if (type == kIpv6) return read_ipv6(frame, l3, length, l, b.meta[i]);
  return type == kIpv4 ? read_ipv4(frame, l3, length, l, b.meta[i]) : nullptr;
}

}  // namespace

void recognise(Batch& b, const Snapshot& snapshot) noexcept {
  if (snapshot.listeners.empty() || snapshot.address_bits.empty()) return;
  const Lookup lookup(b, snapshot);
  // What is traced wants to know the listener, which the many-at-once way does not tell.
  if (b.trace == nullptr) recognise_usual(b, lookup);
  uint64_t recognised = b.live;
  for (Slot i : Bits(b.live & ~b.usual.slots)) {
    const lb_listener_slot* slot = read(b, i, lookup);
    if (slot == nullptr)
      recognised &= ~(1ull << i);
    else if (b.trace != nullptr)
      b.trace[i].listener = slot->listener;
  }
  b.recognised = recognised;
}

void complete(Batch& b, uint64_t slots) noexcept {
  Usual& u = b.usual;
  for (Slot i : Bits(slots & u.slots)) {
    Meta& m = b.meta[i];
    const uint64_t addresses = u.tuple.word[0][i], rest = u.tuple.word[1][i];
    const L4 l4 = {static_cast<uint32_t>(rest >> 32 & 0xff), static_cast<uint32_t>(rest), u.tcp[i]};
    mapped(static_cast<uint32_t>(addresses)).store(m.src);
    mapped(static_cast<uint32_t>(addresses >> 32)).store(m.dst);
    store(m, l4, 4, sizeof(lb_eth), sizeof(lb_eth) + sizeof(lb_ipv4), u.ip_length[i], u.service[i]);
    m.hash = u.hash[i];
  }
  u.slots &= ~slots;
}

}  // namespace lb::stages
