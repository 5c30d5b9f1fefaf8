// IPv4 packets without DF that are too large for the way to their backend: the packet itself is cut into fragments
// (RFC 791 section 3.2), and each of them goes its way as a packet of its own, so that a decapsulating backend has
// nothing to reassemble before it decapsulates.
//   in    a slot with Verdict::kSplit: frame as it came in, Meta, Batch::egress
//   out   whole frames, as rewrite() and set_next_hop() would make them of each fragment; TTL one less, once
// The engine has the buffers: it asks for one frame after the other, sends them to Batch::egress, and turns the slot
// into kForward, with the bytes of all frames as its length, or kDrop.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/model/snapshot.h"
#include "dataplane/net/headers.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

// room: bytes that a piece may have as an IP packet. Whether packets may be cut to that: no DF, and each piece has
// space for its header and at least 8 bytes.
bool can_split(const uint8_t* ip, uint32_t room) noexcept;

class Split {
 public:
  // b, snapshot: outlive it. REQUIRES: the verdict of i is kSplit.
  Split(const Batch& b, Slot i, const model::Snapshot& snapshot) noexcept;

  // Of the next frame; 0: that was all.
  uint32_t frame_bytes() const noexcept { return left() == 0 ? 0 : front() + header_bytes() + piece_bytes(); }
  // REQUIRES: frame_bytes() > 0, and to has that many. Goes on to the next one.
  void write(uint8_t* to) noexcept;

 private:
  static constexpr uint32_t kMaxHeader = 60;

  uint32_t front() const noexcept { return static_cast<uint32_t>(sizeof(lb_eth)) + tag_ + outer_; }
  uint32_t left() const noexcept { return bytes_ - at_; }
  uint32_t header_bytes() const noexcept { return at_ == 0 ? first_header_ : later_header_; }
  uint32_t piece_bytes() const noexcept;
  void keep_copied_options() noexcept;
  void write_ip(uint8_t* ip, uint32_t bytes) const noexcept;
  void write_front(uint8_t* to, uint32_t ip_bytes) const noexcept;

  const lb_backend& backend_;
  const Meta& meta_;
  const uint8_t* ip_;    // the packet
  const uint8_t* data_;  // what is cut
  uint32_t bytes_;       // of it
  uint32_t at_ = 0;      // the next piece
  uint32_t tag_;         // bytes of the VLAN tag
  uint32_t outer_;       // bytes of the outer header
  uint32_t room_;        // of a piece as an IP packet
  uint32_t first_header_, later_header_ = sizeof(lb_ipv4);
  std::array<uint8_t, kMaxHeader> later_{};  // the header of those behind the first
};

}  // namespace lb::stages
