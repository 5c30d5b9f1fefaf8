// The datagrams of which a worker has seen fragments. Fixed memory, made once. Found by a keyed hash, so that nobody
// can choose datagrams that push out another's; where eight meet, the oldest gives way.
//
// Threads: everything is the worker's but look_up(), which other workers call: what a datagram's first fragment told
// lies in records of its own, of atomic words under a sequence number.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "dataplane/net/hash.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/fragment_part.h"

namespace lb::stages {

// Source, destination, id, VLANs (0 is none, IEEE 802.1Q) and, of IPv4, the protocol: RFC 791 section 3.2. Of IPv6 the
// protocol is the first fragment's word: RFC 8200 section 4.5.
struct DatagramKey {
  std::array<uint64_t, 5> words{};

  static DatagramKey of(const uint8_t* frame, const Meta& m, uint32_t id) noexcept;
  uint64_t hash(const lb_hash_key& key) const noexcept;
  bool operator==(const DatagramKey&) const = default;
};

// What only the first fragment tells: Meta::sport, dport, proto, tcp.
struct FirstTold {
  lb_be16 sport = 0, dport = 0;
  uint8_t proto = 0, tcp = 0;
};

inline constexpr uint16_t kNoHeld = UINT16_MAX;

struct Datagram {
  uint64_t hash = 0;
  DatagramKey key;
  uint64_t born = 0;     // number of its making
  uint64_t seen_ms = 0;  // its latest fragment
  FirstTold first;       // when known
  bool used = false, known = false;
  bool spoilt = false;  // fragments overlap: none of it goes on any more
  uint32_t units = 0;   // of 8 bytes, that have come
  uint32_t end = 0;     // units up to the end of the furthest one
  uint32_t total = 0;   // units of the whole; 0: the last fragment has not come
  uint16_t held = 0, held_first = kNoHeld, held_last = kNoHeld;  // of Fragments

  bool is_complete() const noexcept { return total != 0 && units == total; }
};

// What a fragment is to those that came before it.
enum class Fits : uint8_t { kNew, kRepeated, kOverlaps };

class Datagrams {
 public:
  static constexpr uint32_t kWays = 8;

  // count: at least that many; made a power of two, and never fewer than kWays.
  explicit Datagrams(uint32_t count);

  // RETURNS: null when there is none.
  Datagram* find(uint64_t hash, const DatagramKey& key) noexcept;
  // Where a new one can be made: unused, or else the oldest of those it can replace, which the caller forgets first.
  Datagram& place_for(uint64_t hash) noexcept;
  void make(Datagram& d, uint64_t hash, const DatagramKey& key) noexcept;
  void forget(Datagram& d) noexcept;
  void learn(Datagram& d, const FirstTold& first) noexcept;
  // Its bytes have come from now on, when it is new.
  Fits add(Datagram& d, const FragmentPart& part) noexcept;

  uint32_t index_of(const Datagram& d) const noexcept { return static_cast<uint32_t>(&d - datagrams_.get()); }
  Datagram& at(uint32_t index) noexcept { return datagrams_[index]; }

  // By any thread. RETURNS: false when it is not there, its first fragment was not, or it changes just now.
  bool look_up(uint64_t hash, const DatagramKey& key, FirstTold& first) const noexcept;

 private:
  // One cache line. told: 0 when there is nothing.
  struct alignas(64) Record {
    std::atomic<uint32_t> sequence{0};  // odd while it is written
    std::array<std::atomic<uint64_t>, 5> key{};
    std::atomic<uint64_t> told{0};
  };
  static constexpr uint32_t kUnits = 8192;  // of the largest datagram
  using Bitmap = std::array<uint64_t, kUnits / 64>;

  uint32_t set_of(uint64_t hash) const noexcept { return (static_cast<uint32_t>(hash >> 32) & (sets_ - 1)) * kWays; }
  void publish(const Datagram& d, uint64_t told) noexcept;

  uint32_t sets_;
  std::unique_ptr<Datagram[]> datagrams_;
  std::unique_ptr<Record[]> records_;
  std::unique_ptr<Bitmap[]> come_;
  uint64_t made_ = 0;
};

}  // namespace lb::stages
