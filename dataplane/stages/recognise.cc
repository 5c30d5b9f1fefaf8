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

// What is read of a packet before it is known whether all is well.
struct View {
  const uint8_t* frame;
  uint32_t length;
  uint32_t l3;
};

// The same for both families from here on: l4 lies at m.l4 and has `bytes` of the IP packet, 8 at least.
bool read_l4(const uint8_t* l4, uint32_t bytes, uint8_t proto, Meta& m) noexcept {
  uint8_t tcp = 0;
  if (proto == LB_PROTO_TCP) {
    if (bytes < sizeof(lb_tcp)) return false;
    const uint32_t word = load<uint16_t>(l4 + offsetof(lb_tcp, data_offset));  // its low byte, flags the high one
    const uint32_t header = (word & 0xf0) >> 2;
    if (header < sizeof(lb_tcp) || header > bytes) return false;
    tcp = static_cast<uint8_t>((word >> 8 & kTcpFlags) | (bytes > header ? kTcpPayload : 0));
  } else {
    if (proto != LB_PROTO_UDP) return false;
    const uint32_t length = lb_ntohs(load<uint16_t>(l4 + offsetof(lb_udp, length)));
    if (length < sizeof(lb_udp) || length > bytes) return false;
  }
  m.sport = load<uint16_t>(l4);
  m.dport = load<uint16_t>(l4 + 2);
  m.proto = proto;
  m.tcp = tcp;
  return true;
}

// Whether none of our addresses has this hash; what the bits leave open is for parse().
bool surely_foreign(const Snapshot& s, uint32_t hash) noexcept {
  const uint32_t bit = hash & static_cast<uint32_t>(s.address_bits.size() * 64 - 1);
  return (s.address_bits[bit / 64] >> (bit % 64) & 1) == 0;
}

// The one's complement sum over the 20 bytes is 0xffff when the checksum is right; the sum is never 0.
bool sums_up(uint64_t first, uint64_t second, uint32_t dst) noexcept {
  uint64_t sum = (first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + (second >> 32) + dst;
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

// RETURNS: whether it may be recognised; hash is of its listener then.
bool read_ipv4(const View& v, const Snapshot& s, Meta& m, uint32_t& hash) noexcept {
  if (v.length < v.l3 + sizeof(lb_ipv4) + sizeof(lb_udp)) return false;
  const uint8_t* ip = v.frame + v.l3;
  const auto first = load<uint64_t>(ip), second = load<uint64_t>(ip + 8);
  const auto dst = load<uint32_t>(ip + offsetof(lb_ipv4, dst));
  // Version 4, 20 bytes of header, neither MF nor an offset.
  if ((first & 0xff3f0000000000ffull) != 0x45) return false;
  const uint32_t total = lb_ntohs(static_cast<uint16_t>(first >> 16));
  if (total < sizeof(lb_ipv4) + sizeof(lb_udp) || v.l3 + total > v.length) return false;
  if (!sums_up(first, second, dst)) return false;
  // 0/8, 127/8 and all from 224/4 on: some of these are no client's.
  const uint32_t net = second >> 32 & 0xff;
  if (net - 1 >= 223 || net == 127) return false;
  const Address from = mapped(static_cast<uint32_t>(second >> 32)), to = mapped(dst);
  if (!surely_foreign(s, from.hash())) return false;
  if (!read_l4(ip + sizeof(lb_ipv4), total - static_cast<uint32_t>(sizeof(lb_ipv4)), static_cast<uint8_t>(second >> 8),
               m))
    return false;
  from.store(m.src);
  to.store(m.dst);
  m.family = 4;
  m.l4 = static_cast<uint16_t>(v.l3 + sizeof(lb_ipv4));
  m.ip_length = static_cast<uint16_t>(total);
  hash = lb_listener_hash(to.hash(), m.dport, m.proto);
  return true;
}

bool read_ipv6(const View& v, const Snapshot& s, Meta& m, uint32_t& hash) noexcept {
  if (v.length < v.l3 + sizeof(lb_ipv6) + sizeof(lb_udp)) return false;
  const uint8_t* ip = v.frame + v.l3;
  const auto word = load<uint64_t>(ip);  // version, class, label, payload length, next header, hop limit
  const uint32_t payload = lb_ntohs(static_cast<uint16_t>(word >> 32));
  if ((word & 0xf0) != 0x60 || payload < sizeof(lb_udp) || v.l3 + sizeof(lb_ipv6) + payload > v.length) return false;
  const uint8_t* const addresses = ip + offsetof(lb_ipv6, src);
  const Address from = {load<uint64_t>(addresses), load<uint64_t>(addresses + 8)};
  const Address to = {load<uint64_t>(addresses + 16), load<uint64_t>(addresses + 24)};
  // Unspecified, loopback, mapped: all in ::/64. Multicast: ff00::/8.
  if (from.first == 0 || to.first == 0 || (from.first & 0xff) == 0xff) return false;
  if (!surely_foreign(s, from.hash())) return false;
  if (!read_l4(ip + sizeof(lb_ipv6), payload, static_cast<uint8_t>(word >> 48), m)) return false;
  from.store(m.src);
  to.store(m.dst);
  m.family = 6;
  m.l4 = static_cast<uint16_t>(v.l3 + sizeof(lb_ipv6));
  m.ip_length = static_cast<uint16_t>(sizeof(lb_ipv6) + payload);
  hash = lb_listener_hash(to.hash(), m.dport, m.proto);
  return true;
}

constexpr bool is_tag(uint16_t type) noexcept {  // as it lies in the packet
  return type == __builtin_bswap16(LB_ETH_VLAN) || type == __builtin_bswap16(LB_ETH_QINQ);
}

struct OwnMac {
  uint32_t first;
  uint16_t last;
};

bool read(const Batch& b, Slot i, const OwnMac& mac, const Snapshot& s, Meta& m, uint32_t& hash) noexcept {
  View v = {b.data[i], b.length[i], sizeof(lb_eth)};
  if (v.length < kLeastFrame) return false;
  if (load<uint32_t>(v.frame) != mac.first || load<uint16_t>(v.frame + 4) != mac.last) return false;
  auto type = load<uint16_t>(v.frame + 12);
  for (uint32_t tags = 0; is_tag(type) && tags < 2; tags++) {
    v.l3 += sizeof(lb_vlan);
    type = load<uint16_t>(v.frame + v.l3 - 2);
  }
  m.l3 = static_cast<uint16_t>(v.l3);
  m.backend = 0;
  m.fragment = false;
  if (type == __builtin_bswap16(LB_ETH_IPV4)) return read_ipv4(v, s, m, hash);
  return type == __builtin_bswap16(LB_ETH_IPV6) && read_ipv6(v, s, m, hash);
}

// The slot of its listener, or null. REQUIRES: the table is not empty.
const lb_listener_slot* find(const Snapshot& s, const Meta& m, uint32_t hash) noexcept {
  const Address to = {load<uint64_t>(m.dst.b), load<uint64_t>(m.dst.b + 8)};
  const auto mask = static_cast<uint32_t>(s.listeners.size() - 1);
  for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
    const lb_listener_slot& l = s.listeners[(hash + probe) & mask];
    if (l.port == m.dport && l.proto == m.proto && to.is(l.addr)) return &l;
    if (l.proto == 0) return nullptr;
  }
  return nullptr;
}

}  // namespace

void recognise(Batch& b, const Snapshot& snapshot) noexcept {
  if (snapshot.listeners.empty() || snapshot.address_bits.empty()) return;
  const OwnMac mac = {load<uint32_t>(b.port_mac.data()), load<uint16_t>(b.port_mac.data() + 4)};
  const auto mask = static_cast<uint32_t>(snapshot.listeners.size() - 1);
  std::array<uint32_t, kBatch> hash;
  uint64_t readable = 0;
  for (Slot i : b.slots()) {
    if (!read(b, i, mac, snapshot, b.meta[i], hash[i])) continue;
    __builtin_prefetch(&snapshot.listeners[hash[i] & mask]);
    readable |= 1ull << i;
  }
  for (Slot i : Bits(readable)) {
    const lb_listener_slot* l = find(snapshot, b.meta[i], hash[i]);
    if (l == nullptr) continue;
    b.meta[i].service = l->service;
    __builtin_prefetch(&snapshot.services[l->service]);
    if (b.trace != nullptr) b.trace[i].listener = l->listener;
    b.recognised |= 1ull << i;
  }
}

}  // namespace lb::stages
