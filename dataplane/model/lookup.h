// Questions about one tuple that both workers and control ask of a snapshot: which service takes it, by which hash its
// backend is chosen, whom the table names for it today. No allocation, noexcept; any thread that may read the snapshot.
#pragma once

#include "dataplane/model/snapshot.h"

namespace lb::model {

struct FoundListener {
  uint32_t service = LB_NO_SERVICE;
  uint32_t listener = UINT32_MAX;  // index into Snapshot::listener_names
};

// Exact port, then range, then any port, as for a packet to dst.
FoundListener find_listener(const Snapshot& s, const lb_addr& dst, lb_be16 port, uint8_t proto) noexcept;

bool is_ipv4(const lb_addr& a) noexcept;  // mapped

// What picks the slot: the flow hash, or the hash of the source's prefix.
uint64_t choice_hash(const lb_hash_key& key, const lb_service& service, const lb_addr& src,
                     uint64_t flow_hash) noexcept;

// BackendId that a new flow of this tuple would get; 0: none, or no such service.
uint16_t chosen_backend(const Snapshot& s, uint32_t service, const lb_addr& src, const lb_addr& dst,
                        uint64_t flow_hash) noexcept;

enum class Serves : uint8_t {
  kYes,
  kNotServing,  // it was removed and its time is over, or is in maintenance
  kOtherPool,   // not of the service's pool: the service got another one, or the entry is another flow's by its tags
  kWrongMode,   // dsr, and it is not on link, or of the other family
};

// By dsr only whom a frame reaches without a tunnel. While the next hop is not known nothing is known of the link
// either.
inline bool is_within_reach(const lb_service& service, const lb_backend& b, uint8_t family) noexcept {
  if (service.forward != LB_FORWARD_DSR) return true;
  if (((b.flags & LB_BACKEND_IPV6) != 0) != (family == 6)) return false;
  return (b.flags & LB_BACKEND_ON_LINK) != 0 || (b.flags & LB_BACKEND_RESOLVED) == 0;
}

// May a backend keep a flow of that service?
inline Serves serves_flow(const Snapshot& s, const lb_service& service, uint16_t backend, uint8_t family) noexcept {
  if (backend >= s.backends.size()) return Serves::kNotServing;
  const lb_backend& b = s.backends[backend];
  if ((b.flags & LB_BACKEND_SERVING) == 0) return Serves::kNotServing;
  if (b.pool != service.pool && b.pool != service.former_pool) return Serves::kOtherPool;
  return is_within_reach(service, b, family) ? Serves::kYes : Serves::kWrongMode;
}

}  // namespace lb::model
