// Attaches the decapsulation program to an interface and finds it again later. It sits on the clsact hooks of traffic
// control, whose filters live in the kernel until they are removed, so no process, pinned file or mounted bpffs is
// needed; program and maps are found from the filter. tc rather than XDP: every driver has it, and GRO, VLAN tags and
// non-linear buffers need no care (docs/decisions/).
#pragma once

#include <memory>

#include "dataplane/model/decap.h"

namespace lb::xdp {

std::unique_ptr<model::Decapsulation> decapsulation();

}  // namespace lb::xdp
