// One packet asked about, answered by the program that forwards, in its mode DRY: the kernel runs it over the frame,
// nothing is counted, sent or changed. Control thread only.
#pragma once

#include "dataplane/model/engine.h"
#include "dataplane/model/snapshot.h"
#include "xdp/maps.h"
#include "xdp/program.h"

namespace lb::xdp {

struct ExplainSetting {
  const Program& dry;  // in mode LB_XDP_DRY, over these maps
  const Maps& maps;
  const model::Snapshot& snapshot;  // in use there
  net::Mac mac;                     // of the port that the packet is thought to come in by
  bool is_tracking = false;
};

// ERRORS: kInvalid: as model::build_frame(), and a packet larger than the kernel lends a program (3,506 bytes); kIo.
net::Result<model::Explanation> explain(const model::ExplainRequest& request, const ExplainSetting& setting);

}  // namespace lb::xdp
