// The datagrams of which a worker has seen fragments: the ports that their first one told, and those that wait for it.
#pragma once

#include <cstdint>

#include "dataplane/stages/batch.h"

namespace lb::stages {

class Fragments {
 public:
  void tick(uint64_t now_ms) noexcept { now_ms_ = now_ms; }

 private:
  uint64_t now_ms_ = 0;
};

}  // namespace lb::stages
