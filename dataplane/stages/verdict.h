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
  kAnswer,   // the frame is the answer now, to be sent on Batch::egress; `answered` when the egress queue takes it
  kSplit,    // to be sent in pieces (split.h) on Batch::egress; becomes kForward or kDrop when that is done
  kHold,     // its bytes wait in Fragments; the buffer is free
};

using Drop = lb_drop;

}  // namespace lb::stages
