// The datagrams of which a worker has seen fragments, and the fragments that came before their first one: their bytes
// wait here, in fixed memory, and the engine takes them out again once the first one has told the ports.
//
//   a datagram   forgotten when it is complete, kDatagramMs after its latest fragment, or when newer ones need its
//   place held         at most kHeldMs; where no room is left the one that has waited longest gives way
//   (fragment_unmatched):
//                whoever floods pushes out what is old, and an innocent one waits for milliseconds. More of one
//                datagram than held_each, or a frame longer than held_bytes: fragment_full
//
// Held ones are no packet of any batch. They count in `held`, and as drops when they leave here as such; else in the
// batch that release() makes of them.
//
// Threads: the worker's; others may look into datagrams().
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "dataplane/stages/batch.h"
#include "dataplane/stages/datagrams.h"

namespace lb::stages {

struct FragmentOptions {
  uint32_t datagrams = 1024;
  uint32_t held = 512;         // at most 65,534
  uint32_t held_bytes = 2048;  // of the largest frame
  uint32_t held_each = 64;     // of one datagram
};

class Fragments {
 public:
  static constexpr uint64_t kDatagramMs = 1000, kHeldMs = 500;

  // counters: LB_COUNT_MAX of them; they outlive it. What a former lbd held there is lost with it.
  explicit Fragments(uint64_t* counters, const FragmentOptions& options = {});

  const Datagrams& datagrams() const noexcept { return datagrams_; }
  // Of the other workers, to be looked into for a datagram whose first fragment has not come here. They outlive it, the
  // span too. Before the worker starts.
  void set_others(std::span<const Datagrams* const> others) noexcept { others_ = others; }

  // Time goes on: once a loop, before a batch.
  void tick(uint64_t now_ms) noexcept;

  // Of a fragment: Meta::sport, dport, proto, tcp as its first one told; or its bytes are kept and the verdict is
  // kHold; or it is dropped.
  void follow(Batch& b, Slot i, const lb_hash_key& key) noexcept;
  // The same for slot i of a batch that release() made.
  void follow_woken(Batch& b, Slot i) const noexcept { tell(b.meta[i], woken_[i]); }

  bool has_woken() const noexcept { return woken_first_ != kNoHeld; }
  uint16_t woken_ingress() const noexcept { return held_[woken_first_].ingress; }
  uint32_t held() const noexcept { return held_now_; }
  // Those that wait no longer, up to a batch of one ingress port, oldest first: a started batch with data and length;
  // what else of the port belongs into it the caller knows.
  // room(slot, bytes): where a frame of that many bytes may lie; sets Batch::headroom. Null: nowhere, it is dropped as
  // fragment_full.
  // RETURNS: how many.
  template <class Room>
  uint32_t release(Batch& b, const Room& room) noexcept {
    const uint16_t ingress = has_woken() ? woken_ingress() : uint16_t{0};
    uint32_t n = 0;
    while (n < kBatch && has_woken() && woken_ingress() == ingress) {
      const uint16_t slot = woken_first_;
      const Held& h = held_[slot];
      if (uint8_t* const to = room(n, h.length); to != nullptr) {
        std::memcpy(to, bytes_of(slot), h.length);
        b.data[n] = to;
        b.length[n] = h.length;
        woken_[n++] = h.first;
        take_woken();
      } else {
        take_woken();
        count(LB_COUNT_FragmentFull, 1);
      }
    }
    b.start(n);
    b.woken = Batch::first_slots(n);
    b.ingress = ingress;
    return n;
  }

 private:
  enum class State : uint8_t { kFree, kHeld, kWoken };
  struct Held {
    uint64_t since_ms = 0;
    uint32_t datagram = 0;  // kHeld: index among the datagrams
    FirstTold first;        // kWoken
    uint16_t length = 0, ingress = 0;
    uint16_t next = kNoHeld;  // of the same datagram, or woken
    State state = State::kFree;
  };

  static void tell(Meta& m, const FirstTold& first) noexcept {
    m.sport = first.sport;
    m.dport = first.dport;
    m.proto = first.proto;
    m.tcp = first.tcp;
  }
  uint8_t* bytes_of(uint16_t slot) const noexcept { return bytes_.get() + size_t{slot} * options_.held_bytes; }
  bool is_over(const Datagram& d) const noexcept { return now_ms_ - d.seen_ms >= kDatagramMs; }
  Datagram& datagram_of(uint64_t hash, const DatagramKey& key) noexcept;
  void hold(Batch& b, Slot i, Datagram& d) noexcept;
  bool make_room() noexcept;
  void learn(Datagram& d, const FirstTold& first) noexcept;
  bool look_elsewhere(Datagram& d) noexcept;
  void look_again() noexcept;
  void wake(Datagram& d) noexcept;
  void give_up_oldest() noexcept;
  void give_up_all(Datagram& d, Drop why) noexcept;
  void forget(Datagram& d) noexcept;
  void take_woken() noexcept;
  void free(uint16_t slot) noexcept;
  void count(uint32_t counter, uint64_t by) noexcept;

  FragmentOptions options_;
  uint64_t* counters_;
  Datagrams datagrams_;
  std::span<const Datagrams* const> others_;
  uint64_t now_ms_ = 0;
  uint32_t looks_ = 0;  // into the others' tables, that may be made in this millisecond

  // A ring, in order of arrival: number n lies in slot n % options_.held. Those that left before their turn are kFree.
  std::unique_ptr<Held[]> held_;
  std::unique_ptr<uint8_t[]> bytes_;
  uint64_t oldest_ = 0, next_ = 0;
  uint64_t look_at_ = 0;  // the next one whose datagram the others are asked for
  uint32_t held_now_ = 0;
  uint16_t woken_first_ = kNoHeld, woken_last_ = kNoHeld;
  std::array<FirstTold, kBatch> woken_{};  // of the batch that release() made
};

}  // namespace lb::stages
