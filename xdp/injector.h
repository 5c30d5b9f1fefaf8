// Gives a frame to the kernel as if an interface had just received it: the kernel runs a program that passes everything
// over it, once and for real (BPF_PROG_TEST_RUN with live frames, Linux 5.18).
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/net/result.h"
#include "xdp/bpf_util.h"

namespace lb::xdp {

class Injector {
 public:
  // The kernel has them in a page of 4,096 bytes with its own data around it: less than 750.
  static constexpr size_t kLargestFrame = 3300;

  // ERRORS: kPermission, kUnsupported, kIo.
  static net::Result<Injector> load();
  // mark: lb_xdp_port::given_back of the interface; 0: none. False: the kernel does not take it.
  bool give(const uint8_t* frame, size_t length, int index, uint64_t mark) noexcept;

 private:
  explicit Injector(Fd program) : program_(std::move(program)) {}
  Fd program_;
};

}  // namespace lb::xdp
