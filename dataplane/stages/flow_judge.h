// May this backend keep, or get, this flow? And what would the table choose for it today? Small questions that the flow
// stage asks of the snapshot.
#pragma once

#include "dataplane/model/lookup.h"
#include "dataplane/net/flow_bucket.h"

namespace lb::stages {

using model::Serves;
using model::serves_flow;

// May it get new flows?
inline bool is_eligible(const lb_service& service, const lb_backend& b, uint8_t family) noexcept {
  return lb_is_eligible(&service, &b, family) != 0;
}

// The table would choose this backend today, so that the flow loses nothing with its entry. The record's service is the
// one that listens there today, if any.
bool is_agreeing(const lb_flow_cold& record, uint16_t backend, const model::Snapshot& s) noexcept;

}  // namespace lb::stages
