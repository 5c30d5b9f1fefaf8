#include "dataplane/stages/recognise.h"

#include <cstddef>
#include <cstring>

#include "dataplane/net/headers.h"

namespace lb::stages {
namespace {

using model::Snapshot;

// Headers are read as a few wide words and never a byte beyond the frame. Words are as they lie in the packet.
template <class T>
T load(const uint8_t* p) noexcept {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
constexpr uint32_t kLeastFrame = sizeof(lb_eth) + sizeof(lb_ipv4) + sizeof(lb_udp);

struct Address {  // mapped
  uint64_t first, last;
  void store(lb_addr& to) const noexcept {
    std::memcpy(to.b, &first, 8);
    std::memcpy(to.b + 8, &last, 8);
  }
  bool is(const lb_addr& other) const noexcept {
    return ((load<uint64_t>(other.b) ^ first) | (load<uint64_t>(other.b + 8) ^ last)) == 0;
  }
  uint32_t hash() const noexcept {
    return lb_address_hash_words(static_cast<uint32_t>(first), static_cast<uint32_t>(first >> 32),
                                 static_cast<uint32_t>(last), static_cast<uint32_t>(last >> 32));
  }
};
Address mapped(uint32_t ipv4) noexcept {
  return {0, 0xffff0000ull | static_cast<uint64_t>(ipv4) << 32};
}

// What does not change from packet to packet, held in registers: a store to a packet's bytes may be a store to
// anything.
struct Lookup {
  explicit Lookup(const Batch& b, const Snapshot& s) noexcept
      : mac(load<uint32_t>(b.port_mac.data()) | static_cast<uint64_t>(load<uint16_t>(b.port_mac.data() + 4)) << 32),
        bits(s.address_bits.data()),
        bits_mask(static_cast<uint32_t>(s.address_bits.size() * 64 - 1)),
        listeners(s.listeners.data()),
        listeners_mask(static_cast<uint32_t>(s.listeners.size() - 1)) {}
  bool is_mac(uint64_t first_bytes) const noexcept { return (first_bytes ^ mac) << 16 == 0; }
  // Whether none of our addresses has this hash; what the bits leave open is for parse().
  bool surely_foreign(uint32_t hash) const noexcept {
    const uint32_t bit = hash & bits_mask;
    return (bits[bit / 64] >> (bit % 64) & 1) == 0;
  }
  // The slot of the listener, or null. port_proto: port | protocol << 16, as lb_listener_hash() has them.
  [[gnu::noinline]] const lb_listener_slot* find(const Address& to, uint32_t port_proto) const noexcept {
    const auto port = static_cast<lb_be16>(port_proto);
    const auto proto = static_cast<uint8_t>(port_proto >> 16);
    const uint32_t hash = lb_listener_hash(to.hash(), port, proto);
    for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
      const lb_listener_slot& slot = listeners[(hash + probe) & listeners_mask];
      if (slot.port == port && slot.proto == proto && to.is(slot.addr)) return &slot;
      if (slot.proto == 0) return nullptr;
    }
    return nullptr;
  }

  uint64_t mac;
  const uint64_t* bits;
  uint32_t bits_mask;
  const lb_listener_slot* listeners;
  uint32_t listeners_mask;
};

struct L4 {
  uint32_t proto, ports;  // ports: as they lie in the packet, source first
  uint32_t tcp;           // Meta::tcp
  uint32_t port_proto() const noexcept { return ports >> 16 | proto << 16; }
};

// Of the IP packet `bytes` are left at l4, 8 at least.
[[gnu::always_inline]] inline bool read_l4(const uint8_t* l4, uint32_t bytes, uint32_t proto, L4& out) noexcept {
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

// What the packet before was sent to: the next one often is, too.
struct Last {
  uint64_t destination = 0;  // IPv4 address, port | protocol << 16 of it; protocol 0 is none
  const lb_listener_slot* slot = nullptr;
};

// RETURNS: its listener; null: it may be anything. `length`: of the frame, at least of an IPv4 and a UDP header behind
// l3.
[[gnu::always_inline]] inline const lb_listener_slot* read_ipv4(const uint8_t* frame, uint32_t l3, uint32_t length,
                                                                const Lookup& l, Last& last, Batch& b,
                                                                Slot i) noexcept {
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
  const uint64_t destination = dst | static_cast<uint64_t>(l4.port_proto()) << 32;
  if (destination != last.destination) {
    const lb_listener_slot* slot = l.find(mapped(dst), l4.port_proto());
    if (slot == nullptr) return nullptr;
    last = {destination, slot};
  }
  Meta& m = b.meta[i];
  mapped(src).store(m.src);
  mapped(dst).store(m.dst);
  store(m, l4, 4, l3, l3 + static_cast<uint32_t>(sizeof(lb_ipv4)), bytes + static_cast<uint32_t>(sizeof(lb_ipv4)),
        last.slot->service);
  b.words4.set(i, src, dst, l4.ports, static_cast<uint8_t>(l4.proto));
  return last.slot;
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

// Apart from the loop over untagged IPv4, for which registers are scarce.
[[gnu::noinline]] const lb_listener_slot* read_other(Batch& b, Slot i, const Lookup& l, Last& last) noexcept {
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
  if (type != kIpv4) return nullptr;
  const lb_listener_slot* slot = read_ipv4(frame, l3, length, l, last, b, i);
  if (slot != nullptr) b.hashable4 |= 1ull << i;
  return slot;
}

}  // namespace

void recognise(Batch& b, const Snapshot& snapshot) noexcept {
  if (snapshot.listeners.empty() || snapshot.address_bits.empty()) return;
  const Lookup lookup(b, snapshot);
  Last last;
  Trace* const trace = b.trace;
  uint64_t recognised = b.live, others = 0;
  for (Slot i : b.slots()) {
    const uint8_t* frame = b.data[i];
    const uint32_t length = b.length[i];
    if (length < kLeastFrame || !lookup.is_mac(load<uint64_t>(frame)) || load<uint16_t>(frame + 12) != kIpv4) {
      others |= 1ull << i;
      continue;
    }
    const lb_listener_slot* slot = read_ipv4(frame, sizeof(lb_eth), length, lookup, last, b, i);
    if (slot == nullptr) [[unlikely]]
      recognised &= ~(1ull << i);
    else if (trace != nullptr) [[unlikely]]
      trace[i].listener = slot->listener;
  }
  b.hashable4 = recognised & ~others;
  for (Slot i : Bits(others)) {
    const lb_listener_slot* slot = read_other(b, i, lookup, last);
    if (slot == nullptr)
      recognised &= ~(1ull << i);
    else if (trace != nullptr)
      trace[i].listener = slot->listener;
  }
  b.recognised = recognised;
}

}  // namespace lb::stages
