#include "dataplane/dpdk/dispatch.h"

#include <cstring>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_peek.h>

#include "dataplane/net/headers.h"

namespace lb::dpdk {
namespace {

constexpr uint32_t kMaxTags = 2;

template <class T>
T load(const uint8_t* p) noexcept {
  T value;
  memcpy(&value, p, sizeof(value));
  return value;
}

// Both halves of a product of 64 bits each, folded (the step of wyhash). Whoever knows neither factor's key cannot
// choose inputs that collide.
uint64_t mix(uint64_t a, uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Ports and protocol; 0 when there are none.
uint64_t ports_at(const uint8_t* l4, const uint8_t* end, uint8_t proto) noexcept {
  if ((proto != LB_PROTO_TCP && proto != LB_PROTO_UDP) || end - l4 < 4) return 0;
  return static_cast<uint64_t>(load<uint32_t>(l4)) << 8 | proto;
}

uint64_t hash_ipv4(const uint8_t* ip, const uint8_t* end, const SpreadKey& key) noexcept {
  const bool fragment = (lb_load_be16(ip + offsetof(lb_ipv4, frag)) & (LB_IPV4_MF | LB_IPV4_OFFSET)) != 0;
  const ptrdiff_t header = (ip[0] & 15) * 4;
  const uint64_t ports = fragment || end - ip < header ? 0 : ports_at(ip + header, end, ip[offsetof(lb_ipv4, proto)]);
  // Neighbouring ports differ by a multiple of one factor after the first step, and by chance after the second.
  return mix(mix(load<uint64_t>(ip + offsetof(lb_ipv4, src)) ^ key[0], ports ^ key[1]) ^ key[2], key[3]);
}

uint64_t hash_ipv6(const uint8_t* ip, const uint8_t* end, const SpreadKey& key) noexcept {
  const uint8_t* src = ip + offsetof(lb_ipv6, src);
  const uint8_t* dst = ip + offsetof(lb_ipv6, dst);
  const uint64_t addresses = mix(load<uint64_t>(src) ^ key[0], load<uint64_t>(src + 8) ^ key[1]) ^
                             mix(load<uint64_t>(dst) ^ key[2], load<uint64_t>(dst + 8) ^ key[3]);
  const uint64_t ports = ports_at(ip + sizeof(lb_ipv6), end, ip[offsetof(lb_ipv6, next)]);
  return mix(mix(addresses ^ key[1], ports ^ key[2]) ^ key[0], key[3]);
}

}  // namespace

uint32_t worker_of(const uint8_t* frame, uint32_t length, const std::array<uint8_t, 6>& mac, const SpreadKey& key,
                   uint32_t workers) noexcept {
  const uint8_t* end = frame + length;
  if (length < sizeof(lb_eth) || memcmp(frame, mac.data(), mac.size()) != 0) return kNoWorker;
  const uint8_t* ip = frame + sizeof(lb_eth);
  uint16_t type = lb_load_be16(ip - 2);
  for (uint32_t tags = 0; tags < kMaxTags && (type == LB_ETH_VLAN || type == LB_ETH_QINQ); tags++) {
    if (end - ip < static_cast<ptrdiff_t>(sizeof(lb_vlan))) return kNoWorker;
    ip += sizeof(lb_vlan);
    type = lb_load_be16(ip - 2);
  }
  const auto left = static_cast<size_t>(end - ip);
  uint64_t hash = 0;
  if (type == LB_ETH_IPV4 && left >= sizeof(lb_ipv4)) {
    hash = hash_ipv4(ip, end, key);
  } else if (type == LB_ETH_IPV6 && left >= sizeof(lb_ipv6)) {
    hash = hash_ipv6(ip, end, key);
  } else {
    return kNoWorker;
  }
  return static_cast<uint32_t>((hash >> 32) * workers >> 32);
}

// bytes: of theirs are added. RETURNS: the other workers that have a share, as bits.
uint64_t Handoff::share_out(const RxQueue& from, const Burst& burst, uint32_t n, Shares& shares,
                            uint64_t& bytes) const noexcept {
  const auto workers = static_cast<uint32_t>(to_.size());
  for (uint32_t w = 0; w < workers; w++) shares[w] = 0;
  uint64_t others = 0;
  for (uint32_t i = 0; i < n; i++) {
    const rte_mbuf* m = burst[i];
    const uint32_t owner = worker_of(rte_pktmbuf_mtod(m, const uint8_t*), m->data_len, from.mac, key_, workers);
    const uint32_t worker = owner == kNoWorker ? self_ : owner;
    shares[worker] |= 1ull << i;
    if (worker == self_) continue;
    others |= 1ull << worker;
    bytes += m->pkt_len;
  }
  return others;
}

void Handoff::hand_over(uint32_t worker, uint64_t share, const Burst& burst, Arrival& arrival) noexcept {
  Burst packets;
  uint32_t count = 0;
  for (const stages::Slot i : stages::Bits(share)) packets[count++] = burst[i];
  const uint32_t taken =
      rte_ring_sp_enqueue_burst(to_[worker], reinterpret_cast<void**>(packets.data()), count, nullptr);
  arrival.handed_out += taken;
  arrival.handoff_full += count - taken;
  if (taken < count) rte_pktmbuf_free_bulk(packets.data() + taken, count - taken);
}

uint32_t Handoff::split(const RxQueue& from, Burst& burst, uint32_t n, Arrival& arrival) noexcept {
  static_assert(LB_MAX_WORKERS <= 64 && stages::kBatch <= 64);
  Shares shares;
  uint64_t others = share_out(from, burst, n, shares, arrival.bytes);
  for (const stages::Slot worker : stages::Bits(others)) hand_over(worker, shares[worker], burst, arrival);
  uint32_t kept = 0;
  for (const stages::Slot i : stages::Bits(shares[self_])) burst[kept++] = burst[i];
  return kept;
}

uint32_t relay(const Relay& relay) noexcept {
  Burst packets;
  const uint32_t waiting =
      rte_ring_dequeue_burst_start(relay.from, reinterpret_cast<void**>(packets.data()), stages::kBatch, nullptr);
  if (waiting == 0) return 0;
  const uint16_t sent =
      rte_eth_tx_burst(relay.to.device, relay.to.queue, packets.data(), static_cast<uint16_t>(waiting));
  rte_ring_dequeue_finish(relay.from, sent);
  return sent;
}

}  // namespace lb::dpdk
