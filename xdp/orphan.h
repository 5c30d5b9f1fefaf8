// model::Orphans by the pins of a runtime folder (runtime.h).
#pragma once

#include <memory>

#include "dataplane/model/orphan.h"

namespace lb::xdp {

std::unique_ptr<model::Orphans> orphans();

}  // namespace lb::xdp
