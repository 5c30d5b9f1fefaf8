// Whole Ethernet frames out of one interface, past its queueing discipline, as XDP_TX and a redirect send too. By a
// packet socket that receives nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "dataplane/net/result.h"
#include "xdp/bpf_util.h"

namespace lb::xdp {

enum class Sent : uint8_t { kTaken, kFull, kTooBig };

class PacketSender {
 public:
  // ERRORS: kPermission, kUnsupported, kIo.
  static net::Result<PacketSender> open(const std::string& ifname, int index);
  // Never waits. kFull: also of an interface that is down or gone.
  Sent send(const uint8_t* frame, size_t length) noexcept;

 private:
  explicit PacketSender(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace lb::xdp
