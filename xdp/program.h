// One loaded lb.bpf.c: the constants of its port folded in, over maps that others may have too. Loaded is not attached:
// attachment.h does that. Control thread only.
#pragma once

#include <cstdint>

#include "dataplane/net/result.h"
#include "xdp/bpf_util.h"
#include "xdp/lb_abi.h"
#include "xdp/maps.h"

namespace lb::xdp {

class Program {
 public:
  // maps: of all; the program keeps them alive. ERRORS: kPermission; kUnsupported with the verifier's words.
  static net::Result<Program> load(const Maps& maps, const lb_xdp_port& port);

  int fd() const noexcept { return fd_.get(); }
  uint32_t id() const noexcept { return id_; }
  uint32_t verified_instructions() const noexcept { return verified_; }  // 0: the kernel does not tell

 private:
  Fd fd_;
  uint32_t id_ = 0, verified_ = 0;
};

}  // namespace lb::xdp
