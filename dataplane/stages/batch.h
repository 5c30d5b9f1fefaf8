// Up to 64 packets on their way through the stages: where their bytes are, what is known of them, what became of them.
// Plain memory, owned by one worker; the engine fills it from its buffers and reads it back once, after run().
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/net/abi.h"
#include "dataplane/net/flow_bucket.h"
#include "dataplane/net/hash_batch.h"
#include "dataplane/net/ids.h"
#include "dataplane/stages/verdict.h"

namespace lb::stages {

inline constexpr uint32_t kBatch = 64;  // one word of live bits; two bursts of the common drivers
using Slot = uint32_t;                  // 0..63

inline constexpr uint8_t kTcpFlags = 0x3f;
inline constexpr uint8_t kTcpPayload = 0x40;  // in Meta::tcp: the segment carries data

// Meta::fragment: 0 is a whole packet. At l4 of a later one lie the datagram's bytes, whatever they are.
inline constexpr uint8_t kFirstFragment = 1, kLaterFragment = 2;

// What the stages learn of one packet; one cache line. Offsets are from Batch::data[i] as it came in; meaningful as far
// as the packet travelled.
struct alignas(64) Meta {
  lb_addr src, dst;      // mapped
  lb_be16 sport, dport;  // 0 when the protocol has none
  uint8_t proto;         // of the L4 header, behind extension headers
  uint8_t family;        // 4 or 6
  uint16_t l3;           // offset of the IP header
  uint16_t l4;           // offset of the L4 header
  uint16_t ip_length;    // bytes of the IP packet; Ethernet padding is not in it
  uint32_t service;      // ServiceIndex, LB_NO_SERVICE
  uint64_t hash;         // flow hash, whatever the service's schedule
  uint16_t backend;      // BackendId; 0: not chosen yet
  uint8_t fragment;      // 0, kFirstFragment, kLaterFragment
  uint8_t tcp;           // flags of the TCP header (LB_TCP_*) in the low six bits, kTcpPayload; 0: no TCP
  uint32_t address;      // of dst in Snapshot::addresses, as parse() found it
};
static_assert(sizeof(Meta) == 64);

// What only explain() asks for; Batch::trace points to one per slot, or is null.
struct Trace {
  uint32_t listener = UINT32_MAX;  // index into Snapshot::listener_names
  uint32_t slot = UINT32_MAX;      // of the Maglev table
  uint64_t hash = 0;               // that picked the slot: of the flow or of its source
};

// Iterates over set bits, lowest first.
class Bits {
 public:
  explicit constexpr Bits(uint64_t mask) noexcept : mask_(mask) {}
  struct Iterator {
    uint64_t mask;
    Slot operator*() const noexcept { return static_cast<Slot>(__builtin_ctzll(mask)); }
    Iterator& operator++() noexcept {
      mask &= mask - 1;
      return *this;
    }
    bool operator!=(const Iterator& o) const noexcept { return mask != o.mask; }
  };
  Iterator begin() const noexcept { return {mask_}; }
  Iterator end() const noexcept { return {0}; }

 private:
  uint64_t mask_;
};

// The usual packet, column by column: untagged, IPv4 without options, TCP or UDP, and recognised. It has no Meta until
// complete() writes it; one whose flow is found is sent without ever having any.
struct Usual {
  net::FlowWords4 tuple;
  alignas(32) std::array<uint64_t, kBatch> hash;
  alignas(32) std::array<lb_flow_line*, kBatch> line;  // the first where its flow may be, when flows are tracked
  std::array<uint32_t, kBatch> service;
  std::array<uint16_t, kBatch> ip_length;
  std::array<uint16_t, kBatch> backend;  // of those in `sent`
  std::array<uint8_t, kBatch> tcp;       // as Meta::tcp
  uint64_t slots = 0;                    // bit i: slot i is a usual packet
  uint64_t bare = 0;                     // bit i: and has no Meta
  uint64_t plain = 0;                    // bit i: UDP, or TCP that neither begins nor ends a flow
  uint64_t udp = 0;
  uint64_t sent = 0;  // bit i: its flow was found, and its frame is ready: send_usual()
};

struct Batch {
  std::array<uint8_t*, kBatch> data;      // first byte of the frame (Ethernet); moves when stages prepend or cut
  std::array<uint16_t, kBatch> length;    // bytes of the frame, all contiguous
  std::array<uint16_t, kBatch> headroom;  // bytes in front of data that may be written
  std::array<Verdict, kBatch> verdict;
  std::array<uint8_t, kBatch> reason;     // lb_drop, when verdict is kDrop
  std::array<uint16_t, kBatch> egress{};  // PortId, when verdict is kForward
  std::array<Meta, kBatch> meta;
  Usual usual;
  uint64_t live = 0;        // bit i: slot i still travels
  uint64_t recognised = 0;  // bit i: recognise() has done the work of parse() and find_listener() for it
  uint64_t known = 0;       // bit i: its flow is tracked, and Meta::backend is the flow's
  uint64_t fragments = 0;   // bit i: one of several, Meta::fragment; parse() finds them
  uint64_t woken = 0;       // bit i: has waited in Fragments for its first one
  uint64_t quoting = 0;     // bit i: an ICMP error; Meta has the addresses, ports and protocol of the flow it is about
  uint64_t refused = 0;     // bit i: dropped, but answer() may have an answer
  uint64_t splits = 0;      // bit i: verdict kSplit
  Trace* trace = nullptr;
  // The ingress port: its number (answers leave by it), its MAC (other destinations are the kernel's), and whether the
  // kernel sees what is not owned by itself, or the engine hands it what is punted, owned or not (the exception path).
  uint16_t ingress = 0;
  std::array<uint8_t, 6> port_mac{};
  bool kernel_copy = false;
  bool exception_path = false;

  Bits slots() const noexcept { return Bits(live); }
  Bits unparsed() const noexcept { return Bits(live & ~recognised); }
  Bits unchosen() const noexcept { return Bits(live & ~known); }
  static constexpr uint64_t first_slots(uint32_t count) noexcept { return count == 64 ? ~0ull : (1ull << count) - 1; }
  // Of slots 0..n-1, eight at a time.
  uint64_t slots_with(Verdict v, uint32_t n) const noexcept {
    uint64_t mask = 0;
    for (uint32_t i = 0; i < kBatch; i += 8) {
      uint64_t bytes;
      std::memcpy(&bytes, &verdict[i], 8);
      bytes ^= 0x0101010101010101ull * static_cast<uint8_t>(v);
      // 0x80 in every byte that is zero now; the multiplication brings these bits together, none carries.
      const uint64_t zeros =
          ~(((bytes & 0x7f7f7f7f7f7f7f7full) + 0x7f7f7f7f7f7f7f7full) | bytes) & 0x8080808080808080ull;
      mask |= (zeros >> 7) * 0x0102040810204080ull >> 56 << i;
    }
    return mask & first_slots(n);
  }
  void start(uint32_t count) noexcept {
    live = first_slots(count);
    recognised = known = fragments = woken = quoting = refused = splits = 0;
    usual.slots = usual.bare = usual.sent = 0;
    verdict.fill(Verdict::kNone);
  }
  void drop(Slot i, Drop why) noexcept {
    verdict[i] = Verdict::kDrop;
    reason[i] = static_cast<uint8_t>(why);
    live &= ~(1ull << i);
  }
  // Dropped, unless answer() makes an answer of it; none is ever made of a later fragment. REQUIRES: it has its Meta,
  // and the frame is as it came in.
  void refuse(Slot i, Drop why) noexcept {
    drop(i, why);
    refused |= static_cast<uint64_t>(meta[i].fragment != kLaterFragment) << i;
  }
  // To be sent in pieces. REQUIRES: the frame is as it came in.
  void split(Slot i, uint16_t port) noexcept {
    verdict[i] = Verdict::kSplit;
    egress[i] = port;
    splits |= 1ull << i;
    live &= ~(1ull << i);
  }
  // Not owned: the kernel's own copy is the punt where there is one.
  void punt(Slot i) noexcept {
    if (!kernel_copy && !exception_path) return drop(i, LB_DROP_NoExceptionPath);
    verdict[i] = Verdict::kPunt;
    live &= ~(1ull << i);
  }
  // Owned but the kernel's: the filter of the port keeps owned packets from the kernel, so its copy is gone.
  void punt_owned(Slot i) noexcept {
    if (!exception_path) return drop(i, LB_DROP_NoExceptionPath);
    verdict[i] = Verdict::kPunt;
    live &= ~(1ull << i);
  }
  void forward(Slot i, uint16_t port) noexcept {
    verdict[i] = Verdict::kForward;
    egress[i] = port;
    live &= ~(1ull << i);
  }
};

}  // namespace lb::stages
