// May this backend keep, or get, this flow? And what would the table choose for it today? Small questions that the flow
// stage asks of the snapshot.
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/net/flow_bucket.h"

namespace lb::stages {

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

inline Serves serves_flow(const model::Snapshot& s, const lb_service& service, uint16_t backend,
                          uint8_t family) noexcept {
  if (backend >= s.backends.size()) return Serves::kNotServing;
  const lb_backend& b = s.backends[backend];
  if ((b.flags & LB_BACKEND_SERVING) == 0) return Serves::kNotServing;
  if (b.pool != service.pool && b.pool != service.former_pool) return Serves::kOtherPool;
  return is_within_reach(service, b, family) ? Serves::kYes : Serves::kWrongMode;
}

// May it get new flows?
inline bool is_eligible(const lb_service& service, const lb_backend& b, uint8_t family) noexcept {
  return (b.flags & LB_BACKEND_READY) != 0 && b.pool == service.pool && is_within_reach(service, b, family);
}

// The table would choose this backend today, so that the flow loses nothing with its entry. The record's service is the
// one that listens there today, if any.
bool is_agreeing(const lb_flow_cold& record, uint16_t backend, const model::Snapshot& s) noexcept;

}  // namespace lb::stages
