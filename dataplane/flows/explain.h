// One packet asked about: built from the tuple, run through the pipeline that forwards, with a trace. Nothing is
// counted or sent. Any thread that holds the snapshot. Of engine xdp: what its program leaves to the pipeline.
#pragma once

#include <array>
#include <span>

#include "dataplane/model/engine.h"
#include "dataplane/model/snapshot.h"
#include "dataplane/stages/flow_table.h"

namespace lb::flows {

// The port that the packet is thought to come in by.
struct ExplainPort {
  std::array<uint8_t, 6> mac{};
  bool kernel_copy = false;
  bool exception_path = false;
};

// ERRORS: kInvalid when source and destination are of two families, or size does not hold the headers.
net::Result<model::Explanation> explain(const model::ExplainRequest& request, const model::Snapshot& snapshot,
                                        const ExplainPort& port, std::span<const stages::FlowTable> flows = {});

}  // namespace lb::flows
