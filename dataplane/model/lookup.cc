#include "dataplane/model/lookup.h"

#include <cstring>

#include "dataplane/net/hash.h"

namespace lb::model {
namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool same(const lb_addr& a, const lb_addr& b) noexcept {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

FoundListener find_exact(const Snapshot& s, const lb_addr& dst, lb_be16 port, uint8_t proto, uint32_t hash) noexcept {
  const auto mask = static_cast<uint32_t>(s.listeners.size() - 1);
  for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
    const lb_listener_slot& l = s.listeners[(hash + probe) & mask];
    if (l.proto == 0) break;
    if (l.port == port && l.proto == proto && same(l.addr, dst)) return {l.service, l.listener};
  }
  return {};
}

FoundListener find_range(const Snapshot& s, const lb_addr& dst, lb_be16 port, uint8_t proto, uint32_t hash) noexcept {
  const auto mask = static_cast<uint32_t>(s.addresses.size() - 1);
  for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
    const lb_address_slot& a = s.addresses[(hash + probe) & mask];
    if (a.flags == 0) break;
    if (!same(a.addr, dst)) continue;
    for (uint32_t k = a.range_start; k < a.range_start + a.range_count; k++) {
      const lb_port_range& r = s.ranges[k];
      if (r.proto == proto && r.first <= lb_ntohs(port) && lb_ntohs(port) <= r.last) return {r.service, r.listener};
    }
  }
  return {};
}

// The first `bits` bits of 8 bytes in network order, as lb_load64() reads them.
uint64_t mask64(uint32_t bits) noexcept {
  return bits == 0 ? 0 : __builtin_bswap64(~0ull << (64 - bits));
}

}  // namespace

bool is_ipv4(const lb_addr& a) noexcept {
  return std::memcmp(a.b, kMappedPrefix, sizeof kMappedPrefix) == 0;
}

FoundListener find_listener(const Snapshot& s, const lb_addr& dst, lb_be16 port, uint8_t proto) noexcept {
  const uint32_t hash = lb_address_hash(&dst);
  FoundListener found;
  if (!s.listeners.empty()) found = find_exact(s, dst, port, proto, lb_listener_hash(hash, port, proto));
  if (found.service == LB_NO_SERVICE && !s.addresses.empty()) found = find_range(s, dst, port, proto, hash);
  return found;
}

uint64_t choice_hash(const lb_hash_key& key, const lb_service& service, const lb_addr& src,
                     uint64_t flow_hash) noexcept {
  if (service.schedule != LB_SCHEDULE_SOURCE_HASH) return flow_hash;
  if (is_ipv4(src)) {
    const uint32_t mask = lb_htonl(~0u << (32 - service.prefix4));
    return lb_source_hash4(&key, lb_load32(src.b + 12) & mask);
  }
  const uint32_t first = service.prefix6 < 64 ? service.prefix6 : 64u;
  return lb_source_hash6(&key, lb_load64(src.b) & mask64(first),
                         lb_load64(src.b + 8) & mask64(service.prefix6 - first));
}

uint16_t chosen_backend(const Snapshot& s, uint32_t service, const lb_addr& src, const lb_addr& dst,
                        uint64_t flow_hash) noexcept {
  if (service >= s.services.size() || s.services[service].table_size == 0) return 0;
  const lb_service& v = s.services[service];
  const uint16_t* slots = s.table_slots[is_ipv4(dst) ? v.table4 : v.table6];
  return slots[lb_slot(choice_hash(s.hash_key, v, src, flow_hash), v.table_size)];
}

}  // namespace lb::model
