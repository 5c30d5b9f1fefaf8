#include "dataplane/stages/rewrite.h"

#include <cstddef>
#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"
#include "dataplane/stages/split.h"

namespace lb::stages {
namespace {

using model::Snapshot;

// IPv4: one hop less, and the checksum that belongs to it. False: it would reach 0.
bool take_hop(uint8_t* ip) noexcept {
  uint32_t word;  // TTL, protocol, checksum
  std::memcpy(&word, ip + offsetof(lb_ipv4, ttl), 4);
  if ((word & 0xff) <= 1) return false;
  word = lb_csum_decrement(word);
  std::memcpy(ip + offsetof(lb_ipv4, ttl), &word, 4);
  return true;
}

bool has_hop(const uint8_t* ip, uint8_t family) noexcept {
  return ip[family == 4 ? offsetof(lb_ipv4, ttl) : offsetof(lb_ipv6, hop_limit)] > 1;
}

// Both encapsulating (RFC 2003 section 3.1, RFC 2473 section 3.1) and sending on count as forwarding. REQUIRES:
// has_hop().
void decrement_ttl(uint8_t* ip, uint8_t family) noexcept {
  if (family == 4)
    (void)take_hop(ip);
  else
    ip[offsetof(lb_ipv6, hop_limit)]--;
}

uint8_t tos_of(const uint8_t* ip, uint8_t family) noexcept {
  return family == 4 ? ip[1] : static_cast<uint8_t>(ip[0] << 4 | ip[1] >> 4);
}

Inner inner_of(const Meta& m, const uint8_t* ip) noexcept {
  return {.proto = static_cast<uint8_t>(m.family == 4 ? LB_PROTO_IPIP : LB_PROTO_IPV6),
          .tos = tos_of(ip, m.family),
          .bytes = m.ip_length,
          .hash = m.hash};
}

// In registers: the packet is bytes, and a store to bytes may be a store to anything.
struct Records {
  const lb_service* services;
  const lb_backend* backends;
};

void rewrite_one(Batch& b, Slot i, const Records& records) noexcept {
  const Meta& m = b.meta[i];
  const lb_backend& backend = records.backends[m.backend];
  const uint32_t outer = outer_bytes(records.services[m.service], backend), tag = lb_tag_bytes(&backend);
  uint8_t* const data = b.data[i];
  uint8_t* const ip = data + m.l3;
  const uint32_t ip_length = m.ip_length;
  // Tags that go make room: positive grows the frame at its front.
  const int32_t grow = static_cast<int32_t>(sizeof(lb_eth) + tag + outer) - m.l3;
  const int32_t headroom = b.headroom[i];
  if (!has_hop(ip, m.family)) return b.refuse(i, LB_DROP_TtlExpired);
  if (ip_length + outer > backend.mtu) {
    if (outer < backend.mtu && can_split(ip, backend.mtu - outer)) return b.split(i, backend.port);
    return b.refuse(i, LB_DROP_TooBig);
  }
  if (grow > headroom) return b.drop(i, LB_DROP_NoHeadroom);
  decrement_ttl(ip, m.family);
  b.data[i] = data - grow;
  b.headroom[i] = static_cast<uint16_t>(headroom - grow);
  b.length[i] = static_cast<uint16_t>(sizeof(lb_eth) + tag + outer + ip_length);
  if (outer != 0) write_outer(data - grow + tag, backend, inner_of(m, ip));
}

// RETURNS: those that are ready; the others do not fit, or have no hop left, and are as they were.
template <uint32_t outer>
uint64_t write(Batch& b, uint64_t slots, const lb_backend* backends) noexcept {
  uint64_t ready = slots;
  for (const Slot i : Bits(slots)) {
    const lb_backend& backend = backends[b.usual.backend[i]];
    uint8_t* const data = b.data[i];
    uint8_t* const ip = data + sizeof(lb_eth);
    const uint32_t length = b.usual.ip_length[i], headroom = b.headroom[i];
    if (length + outer > backend.mtu || headroom < outer || !take_hop(ip)) {
      ready &= ~(1ull << i);
      continue;
    }
    b.length[i] = static_cast<uint16_t>(sizeof(lb_eth) + outer + length);
    b.egress[i] = backend.port;
    b.verdict[i] = Verdict::kForward;
    const uint8_t tos = ip[offsetof(lb_ipv4, tos)];
    uint8_t* const frame = data - outer;
    if constexpr (outer == 0) {
      std::memcpy(frame, backend.head, 12);
    } else {
      b.data[i] = frame;
      b.headroom[i] = static_cast<uint16_t>(headroom - outer);
    }
    if constexpr (outer == sizeof(lb_ipv4))
      lb_outer_ipv4(frame, &backend, LB_PROTO_IPIP, tos, static_cast<uint16_t>(length));
    if constexpr (outer == sizeof(lb_ipv6))
      lb_outer_ipv6(frame, &backend, LB_PROTO_IPIP, tos, static_cast<uint16_t>(length), lb_flow_label(b.usual.hash[i]));
  }
  return ready;
}

// Those that could not get a tag whatever is put in front of them besides.
uint64_t without_room_for_tag(const Batch& b, uint64_t tagged) noexcept {
  uint64_t slots = 0;
  for (const Slot i : Bits(tagged)) {
    if (b.headroom[i] < sizeof(lb_ipv6) + LB_TAG_BYTES) slots |= 1ull << i;
  }
  return slots;
}

void push_tags(Batch& b, uint64_t slots, const lb_backend* backends) noexcept {
  for (const Slot i : Bits(slots)) {
    lb_push_tag(b.data[i], backends[b.usual.backend[i]].vlan);
    b.data[i] -= LB_TAG_BYTES;
    b.headroom[i] = static_cast<uint16_t>(b.headroom[i] - LB_TAG_BYTES);
    b.length[i] = static_cast<uint16_t>(b.length[i] + LB_TAG_BYTES);
  }
}

}  // namespace

uint64_t rewrite_usual(Batch& b, const UsualFound& found, const Snapshot& snapshot) noexcept {
  const lb_backend* const backends = snapshot.backends.data();
  const uint64_t may = found.tagged == 0 ? ~0ull : ~without_room_for_tag(b, found.tagged);
  uint64_t ready = 0;
  if (found.dsr != 0) ready |= write<0>(b, found.dsr & may, backends);
  if (found.ipip4 != 0) ready |= write<sizeof(lb_ipv4)>(b, found.ipip4 & may, backends);
  if (found.ipip6 != 0) ready |= write<sizeof(lb_ipv6)>(b, found.ipip6 & may, backends);
  if (found.tagged != 0) push_tags(b, found.tagged & ready, backends);
  return ready;
}

namespace {

// Those that a backend has just been chosen for.
void rewrite_chosen(Batch& b, const Records& records, const Snapshot& snapshot) noexcept {
  UsualFound found;
  for (Slot i : Bits(b.live & b.usual.slots)) {
    const uint16_t backend = b.meta[i].backend;
    b.usual.backend[i] = backend;
    found.add(1ull << i, records.services[b.usual.service[i]].forward == LB_FORWARD_IPIP, records.backends[backend]);
  }
  b.live &= ~rewrite_usual(b, found, snapshot);
}

}  // namespace

void rewrite(Batch& b, const Snapshot& snapshot) noexcept {
  const Records records = {snapshot.services.data(), snapshot.backends.data()};
  if ((b.live & b.usual.slots) != 0) rewrite_chosen(b, records, snapshot);
  for (Slot i : b.slots()) rewrite_one(b, i, records);
}

}  // namespace lb::stages
