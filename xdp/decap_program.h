// The two decapsulation programs in the kernel (decap.bpf.c) and their maps: loading them with settings, reading
// settings and counters back from what is loaded. Attaching is decap.h's.
#pragma once

#include <memory>

#include "dataplane/model/decap.h"
#include "xdp/bpf_util.h"

struct decap_bpf;  // generated skeleton

namespace lb::xdp {

class DecapProgram {
 public:
  // counters: the map of a program that this one replaces, to go on counting in it; invalid: from zero.
  static net::Result<DecapProgram> load(const model::DecapSettings& settings, const Fd& counters);
  DecapProgram(DecapProgram&&) noexcept;
  DecapProgram& operator=(DecapProgram&&) noexcept;
  ~DecapProgram();

  int ingress_fd() const noexcept;
  int egress_fd() const noexcept;  // the MSS clamp

 private:
  struct Delete {
    void operator()(decap_bpf* skeleton) const noexcept;
  };
  using Skeleton = std::unique_ptr<decap_bpf, Delete>;
  explicit DecapProgram(Skeleton skeleton) noexcept;
  static net::Status fill(const decap_bpf& skeleton, const model::DecapSettings& settings);
  Skeleton skeleton_;
};

// Of a loaded ingress program. ERRORS: kUnsupported when another version of lbctl loaded it.
net::Result<model::DecapSettings> read_decap_settings(const ProgramInfo& program);
net::Result<std::vector<model::DecapCounter>> read_decap_counters(const ProgramInfo& program);
// The counter map when it has this version's shape, else an invalid descriptor.
Fd open_decap_counters(const ProgramInfo& program);

}  // namespace lb::xdp
