// Questions about one tuple that both workers and control ask of a snapshot: which service takes it, by which hash its
// backend is chosen, whom the table names for it today. No allocation, noexcept; any thread that may read the snapshot.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/net/rules.h"

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

// lb_serves of net/rules.h.
enum class Serves : uint8_t {
  kYes = LB_SERVES_YES,
  kNotServing = LB_SERVES_NOT,
  kOtherPool = LB_SERVES_OTHER_POOL,
  kWrongMode = LB_SERVES_WRONG_MODE,
};

// May a backend keep a flow of that service?
inline Serves serves_flow(const Snapshot& s, const lb_service& service, uint16_t backend, uint8_t family) noexcept {
  if (backend >= s.backends.size()) return Serves::kNotServing;
  return static_cast<Serves>(lb_serves(&service, &s.backends[backend], family));
}

}  // namespace lb::model
