// A flow table in plain memory.
#pragma once

#include <vector>

#include "dataplane/stages/flow_table.h"

namespace lb::property {

struct TableMemory {
  explicit TableMemory(uint32_t count) : lines(count), cold(size_t{count} * LB_FLOW_ENTRIES) {}
  stages::FlowTable view() {
    stages::FlowTable t;
    t.lines = lines.data();
    t.cold = cold.data();
    t.count = static_cast<uint32_t>(lines.size());
    t.heartbeat = &heartbeat;
    return t;
  }
  std::vector<lb_flow_line> lines;
  std::vector<lb_flow_cold> cold;
  stages::FlowHeartbeat heartbeat;
};

}  // namespace lb::property
