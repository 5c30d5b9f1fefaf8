// What recognise() asks of the snapshot, for one packet and for eight at a time. Only recognise*.cc include this.
#pragma once

#include <cstring>

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

// Headers are read as a few wide words and never a byte beyond the frame. Words are as they lie in the packet.
template <class T>
T load(const uint8_t* p) noexcept {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

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
inline Address mapped(uint32_t ipv4) noexcept {
  return {0, 0xffff0000ull | static_cast<uint64_t>(ipv4) << 32};
}

// What does not change from packet to packet, held in registers: a store to a packet's bytes may be a store to
// anything.
struct Lookup {
  Lookup(const Batch& b, const model::Snapshot& s) noexcept
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

// The usual packets among slots 0..n-1, eight at a time; none without AVX2. Fills Batch::usual.
void recognise_usual(Batch& b, const Lookup& lookup) noexcept;

}  // namespace lb::stages
