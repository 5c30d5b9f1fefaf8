#include "dataplane/stages/datagrams.h"

#include <algorithm>
#include <bit>

namespace lb::stages {
namespace {

constexpr uint64_t kTold = 1ull << 63;  // so that no told word is 0

uint64_t pack(const FirstTold& t) noexcept {
  return kTold | static_cast<uint64_t>(t.tcp) << 40 | static_cast<uint64_t>(t.proto) << 32 |
         static_cast<uint64_t>(t.dport) << 16 | t.sport;
}
FirstTold unpack(uint64_t word) noexcept {
  return {.sport = static_cast<lb_be16>(word),
          .dport = static_cast<lb_be16>(word >> 16),
          .proto = static_cast<uint8_t>(word >> 32),
          .tcp = static_cast<uint8_t>(word >> 40)};
}

// Bits first .. first + count - 1 of a bitmap, a word at a time.
template <class Each>
void for_words(uint32_t first, uint32_t count, const Each& each) noexcept {
  for (uint32_t at = first, end = first + count; at < end;) {
    const uint32_t bit = at % 64, here = std::min(64 - bit, end - at);
    each(at / 64, (here == 64 ? ~0ull : (1ull << here) - 1) << bit);
    at += here;
  }
}

}  // namespace

DatagramKey DatagramKey::of(const uint8_t* frame, const Meta& m, uint32_t id) noexcept {
  uint64_t vlans = 0;
  for (uint32_t at = sizeof(lb_eth); at < m.l3; at += sizeof(lb_vlan))
    vlans = vlans << 12 | (lb_load_be16(frame + at) & 0xfff);
  const uint64_t proto = m.family == 4 ? m.proto : 0;
  return {{lb_load64(m.src.b), lb_load64(m.src.b + 8), lb_load64(m.dst.b), lb_load64(m.dst.b + 8),
           id | vlans << 32 | proto << 56}};
}

uint64_t DatagramKey::hash(const lb_hash_key& key) const noexcept {
  lb_sip s;
  lb_sip_init(&s, &key);
  for (const uint64_t word : words) lb_sip_word(&s, word);
  return lb_sip_final(&s);
}

Datagrams::Datagrams(uint32_t count)
    : sets_(std::bit_ceil(std::max(count, kWays)) / kWays),
      datagrams_(std::make_unique<Datagram[]>(size_t{sets_} * kWays)),
      records_(std::make_unique<Record[]>(size_t{sets_} * kWays)),
      come_(std::make_unique<Bitmap[]>(size_t{sets_} * kWays)) {}

Datagram* Datagrams::find(uint64_t hash, const DatagramKey& key) noexcept {
  Datagram* const set = &datagrams_[set_of(hash)];
  for (uint32_t way = 0; way < kWays; way++)
    if (set[way].used && set[way].hash == hash && set[way].key == key) return &set[way];
  return nullptr;
}

Datagram& Datagrams::place_for(uint64_t hash) noexcept {
  Datagram* const set = &datagrams_[set_of(hash)];
  Datagram* best = set;
  for (uint32_t way = 0; way < kWays; way++) {
    if (!set[way].used) return set[way];
    if (set[way].born < best->born) best = &set[way];
  }
  return *best;
}

void Datagrams::make(Datagram& d, uint64_t hash, const DatagramKey& key) noexcept {
  const uint32_t dirty = d.end;
  for_words(0, dirty, [&come = come_[index_of(d)]](uint32_t word, uint64_t) { come[word] = 0; });
  d = Datagram{};
  d.hash = hash;
  d.key = key;
  d.born = ++made_;
  d.used = true;
}

void Datagrams::forget(Datagram& d) noexcept {
  if (d.known) publish(d, 0);
  d.used = false;  // `end` stays: it tells make() what to clear
}

void Datagrams::learn(Datagram& d, const FirstTold& first) noexcept {
  d.first = first;
  d.known = true;
  publish(d, pack(first));
}

Fits Datagrams::add(Datagram& d, const FragmentPart& part) noexcept {
  const uint32_t first = part.offset, units = part.units(), end = first + units;
  uint64_t some = 0, missing = 0;
  Bitmap& come = come_[index_of(d)];
  for_words(first, units, [&](uint32_t word, uint64_t mask) {
    some |= come[word] & mask;
    missing |= ~come[word] & mask;
  });
  if (missing == 0) return Fits::kRepeated;
  if (some != 0 || (d.total != 0 && (end > d.total || !part.more)) || (!part.more && end < d.end))
    return Fits::kOverlaps;
  for_words(first, units, [&](uint32_t word, uint64_t mask) { come[word] |= mask; });
  d.units += units;
  d.end = std::max(d.end, end);
  if (!part.more) d.total = end;
  return Fits::kNew;
}

void Datagrams::publish(const Datagram& d, uint64_t told) noexcept {
  Record& r = records_[index_of(d)];
  const uint32_t before = r.sequence.load(std::memory_order_relaxed);
  r.sequence.store(before + 1, std::memory_order_relaxed);
  // Release, so that whoever sees one of these words sees the odd number too; partner: the loads of look_up().
  for (size_t i = 0; i < r.key.size(); i++) r.key[i].store(d.key.words[i], std::memory_order_release);
  r.told.store(told, std::memory_order_release);
  r.sequence.store(before + 2, std::memory_order_release);
}

bool Datagrams::look_up(uint64_t hash, const DatagramKey& key, FirstTold& first) const noexcept {
  const Record* const set = &records_[set_of(hash)];
  for (uint32_t way = 0; way < kWays; way++) {
    const Record& r = set[way];
    const uint32_t before = r.sequence.load(std::memory_order_acquire);
    const uint64_t told = r.told.load(std::memory_order_acquire);
    bool same = told != 0 && before % 2 == 0;
    for (size_t i = 0; same && i < r.key.size(); i++) same = r.key[i].load(std::memory_order_acquire) == key.words[i];
    if (!same || r.sequence.load(std::memory_order_relaxed) != before) continue;
    first = unpack(told);
    return true;
  }
  return false;
}

}  // namespace lb::stages
