// Weighted Maglev lookup table (Eisenbud et al., NSDI 2016, section 3.4).
//
// Backends take turns in the order given (callers sort by (family, address, port)); each turn adds the backend's weight
// to its credit and it takes its next preferred free slot for every maximum weight the credit holds. Credits start at
// half the maximum weight, so that 1 beside 100 gets 1/101 of the slots and not less. Shares are exact to about a slot.
// offset and skip come from SipHash-1-3 with the fixed public key "lbd maglev table" over the 16 address bytes (mapped)
// and the port in network order: the same table on every node, part of hash-version 1. Pure; same input, same table.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/net/address.h"
#include "dataplane/net/ids.h"

namespace lb::model {

struct MaglevEntry {
  uint32_t offset = 0;  // 0..size-1
  uint32_t skip = 0;    // 1..size-1
  uint32_t weight = 0;  // > 0
};

struct MaglevBackend {
  net::Address address;
  uint16_t port = 0;  // host order; 0 but in NAT modes
  uint32_t weight = 0;
  net::BackendId id{};
  friend bool operator==(const MaglevBackend&, const MaglevBackend&) = default;
};

// The permutation of one backend in a table of `size` slots.
MaglevEntry maglev_entry(const net::Address& address, uint16_t port, uint32_t weight, uint32_t size);

// Leaves out weight 0 and sorts into the order of turns: (address, port), then weight, since ids differ between nodes.
void sort_for_maglev(std::vector<MaglevBackend>& backends);

// Slot -> index of the entry. REQUIRES: size prime, entries not empty, weights > 0, entries.size() <= size.
std::vector<uint16_t> fill_maglev(std::span<const MaglevEntry> entries, uint32_t size);

// Slot -> backend id; backends in any order (sorted here), weight 0 left out; every weight > 0 gets at least one slot.
// All 0 (no backend) when none has weight. REQUIRES: size prime, at most `size` backends with weight > 0.
std::vector<uint16_t> build_maglev(std::vector<MaglevBackend> backends, uint32_t size);

// Smallest slot count of any backend when all with weight > 0 are in, before the "at least one" repair: what validate()
// refuses at 0. REQUIRES: as fill_maglev, of those with weight > 0.
uint32_t min_slots(std::span<const MaglevBackend> backends, uint32_t size);

}  // namespace lb::model
