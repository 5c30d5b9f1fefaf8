// A TAP interface: what lbd writes comes in by it for the kernel, what the kernel sends out by it lbd reads; whole
// Ethernet frames, with their checksums, without a header of the kernel's. Once kept, it is persistent: it stays when
// lbd ends or is killed, with its addresses and routes and without carrier, and is adopted by name at the next start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

struct iovec;

namespace lb::dpdk {

class Tap {
 public:
  // Made when there is none of that name, and brought up then; the state of an adopted one (up, down, addresses) is
  // left to who set it. Without carrier at first. mac: all zeros: its own. ERRORS: kUnavailable (no /dev/net/tun;
  // another process has it), kExists (an interface of that name is no TAP), kPermission, kIo.
  static net::Result<std::unique_ptr<Tap>> open(const std::string& name, const net::Mac& mac, uint16_t mtu);
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  const std::string& name() const noexcept { return name_; }
  net::Result<net::Mac> mac() const;
  bool adopted() const noexcept { return adopted_; }
  int fd() const noexcept { return fd_; }  // does not block
  net::Status set_carrier(bool up);
  // A new one goes with this object until then, an adopted one is kept already.
  net::Status keep();
  void keep_no_more();  // undoes keep() of a new one
  // RETURNS: bytes of the frame, more than `room` when it was cut; 0: none waits.
  size_t read(uint8_t* to, size_t room) noexcept;
  // Frames that the kernel wanted to send and lost since open(): its queue in front of read() was full.
  uint64_t dropped() const;
  bool write(const iovec* pieces, int count) noexcept;  // false: the interface is down, or the kernel has no memory

 private:
  Tap(std::string name, int fd, bool adopted) : name_(std::move(name)), fd_(fd), adopted_(adopted) {}

  std::string name_;
  int fd_;
  bool adopted_;
  uint64_t dropped_before_ = 0;  // open()
};

}  // namespace lb::dpdk
