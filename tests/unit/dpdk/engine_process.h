// An lbd engine on DPDK in the middle of the lab.
#pragma once

#include <vector>

#include "tests/unit/lab/lab.h"

namespace lb::dpdk::testing {

using lab::ChildInLab;
using lab::Lab;
using lab::why_no_lab;

// An engine with ports wan and lan, and a service on 192.0.2.10:53/udp. Says the driver of its first port, or "error: "
// and the sentence.
class EngineProcess : public ChildInLab {
 public:
  // user: whose rights the process has.
  EngineProcess(const Lab& lab, std::vector<uint32_t> workers, model::Forward forward, uid_t user = 0);
};

}  // namespace lb::dpdk::testing
