#include "dataplane/stages/fragments.h"

#include <algorithm>

#include "dataplane/stages/worker_state.h"

namespace lb::stages {
namespace {

// A lookup reads eight lines of each other worker's table, which nothing has brought near: at most some per cent of a
// core in a flood of fragments without first ones.
constexpr uint32_t kLooksPerMs = 128;

}  // namespace

Fragments::Fragments(uint64_t* counters, const FragmentOptions& options)
    : options_(options),
      counters_(counters),
      datagrams_(options.datagrams),
      held_(std::make_unique<Held[]>(options.held)),
      bytes_(std::make_unique_for_overwrite<uint8_t[]>(size_t{options.held} * options.held_bytes)) {
  const uint64_t lost = peek(counters_[LB_COUNT_Held]);
  count(LB_COUNT_FragmentUnmatched, lost);
  count(LB_COUNT_Held, 0 - lost);
}

void Fragments::count(uint32_t counter, uint64_t by) noexcept {
  if (by != 0) bump(counters_[counter], by);
}

void Fragments::tick(uint64_t now_ms) noexcept {
  if (now_ms == now_ms_) return;
  now_ms_ = now_ms;
  looks_ = others_.empty() ? 0 : kLooksPerMs;
  while (oldest_ != next_) {
    const Held& h = held_[oldest_ % options_.held];
    if (h.state == State::kWoken || (h.state == State::kHeld && now_ms - h.since_ms < kHeldMs)) break;
    give_up_oldest();
  }
  if (held_now_ != 0 && looks_ != 0) look_again();
}

// The one that has waited longest, or has left already. REQUIRES: there is one, and it is not woken.
void Fragments::give_up_oldest() noexcept {
  const auto slot = static_cast<uint16_t>(oldest_++ % options_.held);
  Held& h = held_[slot];
  if (h.state != State::kHeld) return;
  Datagram& d = datagrams_.at(h.datagram);  // whose first one it is: they wait in order of arrival
  d.held_first = h.next;
  if (--d.held == 0) d.held_last = kNoHeld;
  free(slot);
  count(LB_COUNT_FragmentUnmatched, 1);
}

void Fragments::free(uint16_t slot) noexcept {
  held_[slot].state = State::kFree;
  held_[slot].next = kNoHeld;
  held_now_--;
  count(LB_COUNT_Held, ~0ull);
}

void Fragments::give_up_all(Datagram& d, Drop why) noexcept {
  count(why, d.held);
  for (uint16_t slot = d.held_first; slot != kNoHeld;) {
    const uint16_t next = held_[slot].next;
    free(slot);
    slot = next;
  }
  d.held = 0;
  d.held_first = d.held_last = kNoHeld;
}

void Fragments::forget(Datagram& d) noexcept {
  give_up_all(d, LB_DROP_FragmentUnmatched);
  datagrams_.forget(d);
}

Datagram& Fragments::datagram_of(uint64_t hash, const DatagramKey& key) noexcept {
  Datagram* d = datagrams_.find(hash, key);
  if (d != nullptr && !is_over(*d)) return *d;
  if (d == nullptr) d = &datagrams_.place_for(hash);
  if (d->used) forget(*d);
  datagrams_.make(*d, hash, key);
  return *d;
}

void Fragments::follow(Batch& b, Slot i, const lb_hash_key& key) noexcept {
  Meta& m = b.meta[i];
  const FragmentPart part = fragment_part(b.data[i], m);
  const DatagramKey which = DatagramKey::of(b.data[i], m, part.id);
  Datagram& d = datagram_of(which.hash(key), which);
  if (d.spoilt) return b.drop(i, LB_DROP_FragmentOverlap);
  d.seen_ms = now_ms_;
  const Fits fits = datagrams_.add(d, part);
  if (fits == Fits::kRepeated) return b.drop(i, LB_DROP_FragmentOverlap);
  if (fits == Fits::kOverlaps) {
    d.spoilt = true;
    give_up_all(d, LB_DROP_FragmentOverlap);
    return b.drop(i, LB_DROP_FragmentOverlap);
  }
  if (m.fragment == kFirstFragment)
    learn(d, {.sport = m.sport, .dport = m.dport, .proto = m.proto, .tcp = m.tcp});
  else if (d.known || look_elsewhere(d))
    tell(m, d.first);
  else
    hold(b, i, d);
  if (d.is_complete()) forget(d);
}

void Fragments::hold(Batch& b, Slot i, Datagram& d) noexcept {
  if (b.length[i] > options_.held_bytes || d.held >= options_.held_each || !make_room())
    return b.drop(i, LB_DROP_FragmentFull);
  const auto slot = static_cast<uint16_t>(next_++ % options_.held);
  Held& h = held_[slot];
  h.since_ms = now_ms_;
  h.datagram = datagrams_.index_of(d);
  h.length = b.length[i];
  h.ingress = b.ingress;
  h.next = kNoHeld;
  h.state = State::kHeld;
  std::memcpy(bytes_of(slot), b.data[i], b.length[i]);
  (d.held == 0 ? d.held_first : held_[d.held_last].next) = slot;
  d.held_last = slot;
  d.held++;
  held_now_++;
  count(LB_COUNT_Held, 1);
  count(LB_COUNT_FragmentsHeld, 1);
  b.verdict[i] = Verdict::kHold;
  b.live &= ~(1ull << i);
}

// RETURNS: false when the oldest one is just about to go on.
bool Fragments::make_room() noexcept {
  if (next_ - oldest_ < options_.held) return true;
  if (held_[oldest_ % options_.held].state == State::kWoken) return false;
  give_up_oldest();
  return true;
}

void Fragments::learn(Datagram& d, const FirstTold& first) noexcept {
  datagrams_.learn(d, first);
  wake(d);
}

bool Fragments::look_elsewhere(Datagram& d) noexcept {
  if (looks_ == 0) return false;
  looks_--;
  FirstTold first;
  for (const Datagrams* other : others_) {
    if (!other->look_up(d.hash, d.key, first)) continue;
    learn(d, first);
    return true;
  }
  return false;
}

// The first fragment may have come to another worker after the later ones came here.
void Fragments::look_again() noexcept {
  look_at_ = std::max(look_at_, oldest_);
  for (uint64_t n = next_ - oldest_; n > 0 && looks_ > kLooksPerMs / 2; n--) {
    if (look_at_ >= next_) look_at_ = oldest_;
    const auto slot = static_cast<uint16_t>(look_at_++ % options_.held);
    if (held_[slot].state != State::kHeld) continue;
    Datagram& d = datagrams_.at(held_[slot].datagram);
    if (d.held_first == slot) (void)look_elsewhere(d);
  }
}

void Fragments::wake(Datagram& d) noexcept {
  if (d.held == 0) return;
  for (uint16_t slot = d.held_first; slot != kNoHeld; slot = held_[slot].next) {
    held_[slot].state = State::kWoken;
    held_[slot].first = d.first;
  }
  (has_woken() ? held_[woken_last_].next : woken_first_) = d.held_first;
  woken_last_ = d.held_last;
  d.held = 0;
  d.held_first = d.held_last = kNoHeld;
}

void Fragments::take_woken() noexcept {
  const uint16_t slot = woken_first_;
  woken_first_ = held_[slot].next;
  if (woken_first_ == kNoHeld) woken_last_ = kNoHeld;
  free(slot);
}

}  // namespace lb::stages
