// The TAP of one port at the end of the exception path: what the kernel sends out by it (an XDP redirect) is read here.
// Nothing is ever written to it. It has no addresses and answers nobody, and goes with this object or with the process.
//
// Threads: read() is the exception thread's, the rest control's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "dataplane/net/result.h"
#include "xdp/bpf_util.h"

namespace lb::xdp {

class ExceptionTap {
 public:
  // mtu: of the largest packet; the largest frame is frame_room(mtu). ERRORS: kUnavailable (no /dev/net/tun), kExists,
  // kPermission, kIo.
  static net::Result<ExceptionTap> open(const std::string& name, uint32_t mtu);

  const std::string& name() const noexcept { return name_; }
  int index() const noexcept { return index_; }
  int fd() const noexcept { return fd_.get(); }  // does not block
  // Into `room` bytes and one. RETURNS: bytes of the frame, more than `room` when it was cut; 0: none waits; below 0:
  // the interface was removed.
  int64_t read(uint8_t* to, size_t room) noexcept;
  uint64_t lost() const;  // its queue was full

  static constexpr size_t frame_room(uint32_t mtu) noexcept { return size_t{mtu} + 22; }  // Ethernet and two tags

 private:
  ExceptionTap(std::string name, Fd fd) : name_(std::move(name)), fd_(std::move(fd)) {}
  net::Status set_up(uint32_t mtu);

  std::string name_;
  Fd fd_;
  int index_ = 0;
};

}  // namespace lb::xdp
