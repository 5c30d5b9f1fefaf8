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
  const lb_listener_slot* listener(uint32_t hash) const noexcept { return listeners + (hash & listeners_mask); }

  uint64_t mac;
  const uint64_t* bits;
  uint32_t bits_mask;
  const lb_listener_slot* listeners;
  uint32_t listeners_mask;
};

// A 16-bit number of the packet from the upper half of the 32-bit word in which it lies.
constexpr uint32_t upper_number(uint32_t word) noexcept {
  return __builtin_bswap32(word) & 0xffff;
}

// The same for both families: of the IP packet `bytes` are left at l4, 8 at least.
[[gnu::always_inline]] inline bool read_l4(const uint8_t* l4, uint32_t bytes, uint32_t proto, Meta& m) noexcept {
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
  const auto ports = load<uint32_t>(l4);
  static_assert(offsetof(Meta, dport) == offsetof(Meta, sport) + 2);  // as in the packet
  std::memcpy(reinterpret_cast<uint8_t*>(&m) + offsetof(Meta, sport), &ports, 4);
  m.proto = static_cast<uint8_t>(proto);
  m.tcp = static_cast<uint8_t>(tcp);
  return true;
}

// From the IP header on: `room` bytes of the frame, at least of an IPv4 and a UDP header. RETURNS: whether it may be
// recognised; hash is of its listener then.
[[gnu::always_inline]] inline bool read_ipv4(const uint8_t* frame, uint32_t l3, uint32_t length, const Lookup& l,
                                             Meta& m, uint32_t& hash) noexcept {
  const uint8_t* ip = frame + l3;
  const auto w0 = load<uint32_t>(ip), w1 = load<uint32_t>(ip + 4), w2 = load<uint32_t>(ip + 8),
             src = load<uint32_t>(ip + 12), dst = load<uint32_t>(ip + 16);
  // Version 4, 20 bytes of header; neither MF nor an offset.
  if ((w0 & 0xff) != 0x45 || (w1 & 0xff3f0000) != 0) return false;
  const uint32_t bytes = upper_number(w0) - static_cast<uint32_t>(sizeof(lb_ipv4));  // of L4; huge when there are none
  if (bytes - sizeof(lb_udp) > length - l3 - sizeof(lb_ipv4) - sizeof(lb_udp)) return false;
  // The one's complement sum over the header is 0xffff when the checksum is right: as 2^16 is 1 more than 0xffff, a sum
  // of words of any size is then a multiple of that. It is never 0.
  if ((uint64_t{w0} + w1 + w2 + src + dst) % 0xffff != 0) return false;
  // 0/8, 127/8 and all from 224/4 on: some of these are no client's.
  const uint32_t net = src & 0xff;
  if (net - 1 >= 223 || net == 127) return false;
  const Address from = mapped(src), to = mapped(dst);
  if (!l.surely_foreign(from.hash())) return false;
  if (!read_l4(ip + sizeof(lb_ipv4), bytes, w2 >> 8 & 0xff, m)) return false;
  from.store(m.src);
  to.store(m.dst);
  m.family = 4;
  m.l3 = static_cast<uint16_t>(l3);
  m.l4 = static_cast<uint16_t>(l3 + sizeof(lb_ipv4));
  m.ip_length = static_cast<uint16_t>(bytes + sizeof(lb_ipv4));
  m.backend = 0;
  m.fragment = false;
  hash = lb_listener_hash(to.hash(), m.dport, m.proto);
  return true;
}

bool read_ipv6(const uint8_t* frame, uint32_t l3, uint32_t length, const Lookup& l, Meta& m, uint32_t& hash) noexcept {
  const uint8_t* ip = frame + l3;
  if (length < l3 + sizeof(lb_ipv6) + sizeof(lb_udp)) return false;
  const auto w1 = load<uint32_t>(ip + 4);  // payload length, next header, hop limit
  const uint32_t payload = lb_ntohs(static_cast<uint16_t>(w1));
  if ((ip[0] & 0xf0) != 0x60 || payload < sizeof(lb_udp) || l3 + sizeof(lb_ipv6) + payload > length) return false;
  const uint8_t* const addresses = ip + offsetof(lb_ipv6, src);
  const Address from = {load<uint64_t>(addresses), load<uint64_t>(addresses + 8)};
  const Address to = {load<uint64_t>(addresses + 16), load<uint64_t>(addresses + 24)};
  // Unspecified, loopback, mapped: all in ::/64. Multicast: ff00::/8.
  if (from.first == 0 || to.first == 0 || (from.first & 0xff) == 0xff) return false;
  if (!l.surely_foreign(from.hash())) return false;
  if (!read_l4(ip + sizeof(lb_ipv6), payload, w1 >> 16 & 0xff, m)) return false;
  from.store(m.src);
  to.store(m.dst);
  m.family = 6;
  m.l3 = static_cast<uint16_t>(l3);
  m.l4 = static_cast<uint16_t>(l3 + sizeof(lb_ipv6));
  m.ip_length = static_cast<uint16_t>(sizeof(lb_ipv6) + payload);
  m.backend = 0;
  m.fragment = false;
  hash = lb_listener_hash(to.hash(), m.dport, m.proto);
  return true;
}

constexpr uint16_t kIpv4 = __builtin_bswap16(LB_ETH_IPV4), kIpv6 = __builtin_bswap16(LB_ETH_IPV6);
constexpr bool is_tag(uint16_t type) noexcept {  // as it lies in the packet
  return type == __builtin_bswap16(LB_ETH_VLAN) || type == __builtin_bswap16(LB_ETH_QINQ);
}

// Apart from the loop over untagged IPv4, for which registers are scarce.
[[gnu::noinline]] bool read_other(const uint8_t* frame, uint32_t length, const Lookup& l, Meta& m,
                                  uint32_t& hash) noexcept {
  if (length < kLeastFrame || !l.is_mac(load<uint64_t>(frame))) return false;
  uint32_t l3 = sizeof(lb_eth);
  auto type = load<uint16_t>(frame + 12);
  for (uint32_t tags = 0; is_tag(type) && tags < 2; tags++) {
    l3 += sizeof(lb_vlan);
    type = load<uint16_t>(frame + l3 - 2);
  }
  if (length < l3 + sizeof(lb_ipv4) + sizeof(lb_udp)) return false;
  if (type == kIpv4) return read_ipv4(frame, l3, length, l, m, hash);
  return type == kIpv6 && read_ipv6(frame, l3, length, l, m, hash);
}

// A function of its own: registers are scarce. RETURNS: those that may be recognised; hashes are of their listeners.
[[gnu::noinline]] uint64_t read_all(Batch& b, const Lookup& l, std::array<uint32_t, kBatch>& hashes) noexcept {
  uint64_t read = b.live, others = 0;
  for (Slot i : b.slots()) {
    const uint8_t* frame = b.data[i];
    const uint32_t length = b.length[i];
    if (length < kLeastFrame || !l.is_mac(load<uint64_t>(frame)) || load<uint16_t>(frame + 12) != kIpv4)
      others |= 1ull << i;
    else if (read_ipv4(frame, sizeof(lb_eth), length, l, b.meta[i], hashes[i]))
      __builtin_prefetch(l.listener(hashes[i]));
    else
      read &= ~(1ull << i);
  }
  for (Slot i : Bits(others)) {
    if (read_other(b.data[i], b.length[i], l, b.meta[i], hashes[i]))
      __builtin_prefetch(l.listener(hashes[i]));
    else
      read &= ~(1ull << i);
  }
  return read;
}

// The slot of its listener, or null.
[[gnu::always_inline]] inline const lb_listener_slot* find(const Lookup& l, const Meta& m, uint32_t hash) noexcept {
  const Address to = {load<uint64_t>(m.dst.b), load<uint64_t>(m.dst.b + 8)};
  const uint32_t last = hash + LB_MAX_PROBE;
  do {
    const lb_listener_slot* slot = l.listener(hash);
    if (slot->port == m.dport && slot->proto == m.proto && to.is(slot->addr)) [[likely]]
      return slot;
    if (slot->proto == 0) return nullptr;
  } while (++hash != last);
  return nullptr;
}

}  // namespace

void recognise(Batch& b, const Snapshot& snapshot) noexcept {
  if (snapshot.listeners.empty() || snapshot.address_bits.empty()) return;
  const Lookup lookup(b, snapshot);
  std::array<uint32_t, kBatch> hashes;
  uint64_t recognised = read_all(b, lookup, hashes);
  Trace* const trace = b.trace;
  for (Slot i : Bits(recognised)) {
    Meta& m = b.meta[i];
    const lb_listener_slot* slot = find(lookup, m, hashes[i]);
    if (slot == nullptr) {
      recognised &= ~(1ull << i);
      continue;
    }
    m.service = slot->service;
    if (trace != nullptr) trace[i].listener = slot->listener;
  }
  b.recognised = recognised;
}

}  // namespace lb::stages
