#include "dataplane/stages/flow_judge.h"

#include "dataplane/model/lookup.h"

namespace lb::stages {

bool is_agreeing(const lb_flow_cold& record, uint16_t backend, const model::Snapshot& s) noexcept {
  const uint32_t service = model::find_listener(s, record.dst, record.dport, record.proto).service;
  // Nobody listens there any more: its packets would not get here.
  if (service == LB_NO_SERVICE) return true;
  return model::chosen_backend(s, service, record.src, record.dst, record.hash) == backend;
}

}  // namespace lb::stages
