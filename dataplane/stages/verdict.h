// What became of a packet. Every packet that came in ends in exactly one verdict; drop reasons are counter ids
// (net/abi.h).
#pragma once

#include <cstdint>

#include "dataplane/net/abi.h"

namespace lb::stages {

enum class Verdict : uint8_t {
  kNone,     // still travelling through the stages
  kForward,  // rewritten, to be sent on Batch::egress; becomes `forwarded` when the egress queue takes it
  kPunt,     // left to the kernel unchanged
  kDrop,     // for Batch::reason
};

using Drop = lb_drop;

}  // namespace lb::stages
