#include "dataplane/model/maglev.h"

#include <algorithm>
#include <tuple>

#include "dataplane/net/hash.h"

namespace lb::model {
namespace {

// Read as SipHash reads a key: two little-endian words.
constexpr uint8_t kKeyText[17] = "lbd maglev table";

lb_hash_key permutation_key() {
  return {lb_load64(kKeyText), lb_load64(kKeyText + 8)};
}

// One backend's walk along its permutation while the table fills.
struct Walk {
  uint32_t next;  // slot it prefers now
  uint32_t skip;
  uint32_t weight;  // doubled, so that half of an odd maximum is an integer
  uint32_t credit;  // same unit
};

// Bits beside the table: the search for a free slot stays in the first-level cache.
class Taken {
 public:
  explicit Taken(uint32_t size) : words_((size + 63) / 64) {}
  bool test(uint32_t slot) const { return words_[slot / 64] >> slot % 64 & 1; }
  void set(uint32_t slot) { words_[slot / 64] |= 1ull << slot % 64; }

 private:
  std::vector<uint64_t> words_;
};

uint32_t take_next_free(Walk& w, Taken& taken, uint32_t size) {
  uint32_t slot = w.next;
  while (taken.test(slot)) {
    slot += w.skip;
    slot -= slot >= size ? size : 0;
  }
  taken.set(slot);
  w.next = slot + w.skip;
  w.next -= w.next >= size ? size : 0;
  return slot;
}

std::vector<uint32_t> count_slots(std::span<const uint16_t> table, size_t entries) {
  std::vector<uint32_t> count(entries);
  for (uint16_t e : table) count[e]++;
  return count;
}

// Entries whose share is below one slot take their first preference from an owner that has more than one.
void give_each_a_slot(std::vector<uint16_t>& table, std::span<const MaglevEntry> entries) {
  auto count = count_slots(table, entries.size());
  const auto size = static_cast<uint32_t>(table.size());
  for (size_t i = 0; i < entries.size(); i++) {
    if (count[i] > 0) continue;
    uint32_t slot = entries[i].offset;
    while (count[table[slot]] < 2) slot = (slot + entries[i].skip) % size;
    count[table[slot]]--;
    table[slot] = static_cast<uint16_t>(i);
    count[i]++;
  }
}

std::vector<MaglevEntry> permutations(std::span<const MaglevBackend> backends, uint32_t size) {
  std::vector<MaglevEntry> entries;
  entries.reserve(backends.size());
  for (const MaglevBackend& b : backends) entries.push_back(maglev_entry(b.address, b.port, b.weight, size));
  return entries;
}

}  // namespace

MaglevEntry maglev_entry(const net::Address& address, uint16_t port, uint32_t weight, uint32_t size) {
  const lb_hash_key key = permutation_key();
  const uint8_t* bytes = address.bytes().data();
  lb_sip s;
  lb_sip_init(&s, &key);
  lb_sip_word(&s, lb_load64(bytes));
  lb_sip_word(&s, lb_load64(bytes + 8));
  lb_sip_word(&s, lb_htons(port) | static_cast<uint64_t>(18) << 56);  // SipHash's last word: rest and length
  const uint64_t h = lb_sip_final(&s);
  return {.offset = lb_slot(h, size), .skip = 1 + lb_slot(h << 32, size - 1), .weight = weight};
}

void sort_for_maglev(std::vector<MaglevBackend>& backends) {
  std::erase_if(backends, [](const MaglevBackend& b) { return b.weight == 0; });
  const auto before = [](const MaglevBackend& a, const MaglevBackend& b) {
    return std::tie(a.address, a.port, a.weight, a.id) < std::tie(b.address, b.port, b.weight, b.id);
  };
  if (!std::ranges::is_sorted(backends, before)) std::ranges::sort(backends, before);
}

std::vector<uint16_t> fill_maglev(std::span<const MaglevEntry> entries, uint32_t size) {
  const uint32_t full = 2 * std::ranges::max(entries, {}, &MaglevEntry::weight).weight;
  std::vector<Walk> walks;
  walks.reserve(entries.size());
  for (const MaglevEntry& e : entries) walks.push_back({e.offset, e.skip, 2 * e.weight, full / 2});

  std::vector<uint16_t> table(size);
  Taken taken(size);
  for (uint32_t filled = 0; filled < size;) {
    for (size_t i = 0; i < walks.size() && filled < size; i++) {
      Walk& w = walks[i];
      w.credit += w.weight;
      if (w.credit < full) continue;  // at most one slot a turn: a weight is never above the maximum
      w.credit -= full;
      table[take_next_free(w, taken, size)] = static_cast<uint16_t>(i);
      filled++;
    }
  }
  return table;
}

std::vector<uint16_t> build_maglev(std::vector<MaglevBackend> backends, uint32_t size) {
  sort_for_maglev(backends);
  if (backends.empty()) return std::vector<uint16_t>(size);
  const auto entries = permutations(backends, size);
  auto table = fill_maglev(entries, size);
  give_each_a_slot(table, entries);
  for (uint16_t& slot : table) slot = net::raw(backends[slot].id);
  return table;
}

uint32_t min_slots(std::span<const MaglevBackend> backends, uint32_t size) {
  std::vector<MaglevBackend> weighted(backends.begin(), backends.end());
  sort_for_maglev(weighted);
  const auto count = count_slots(fill_maglev(permutations(weighted, size), size), weighted.size());
  return *std::ranges::min_element(count);
}

}  // namespace lb::model
