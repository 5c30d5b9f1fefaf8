#include "dataplane/stages/flow.h"

#include <algorithm>

#include "dataplane/stages/flow_judge.h"

namespace lb::stages {
namespace {

using model::Snapshot;
using net::put;

uint32_t tags_of(const Meta& m) noexcept {
  return static_cast<uint32_t>(m.hash);
}
bool is_tcp(const Meta& m) noexcept {
  return m.proto == LB_PROTO_TCP;
}

// What the hit path counts; written to the worker's counters once a batch.
struct Tally {
  uint64_t hits = 0, moved_backend = 0, moved_pool = 0, moved_mode = 0;
  void count(Serves why_not) noexcept {
    moved_backend += why_not == Serves::kNotServing;
    moved_pool += why_not == Serves::kOtherPool;
    moved_mode += why_not == Serves::kWrongMode;
  }
};

// The entry is the flow's from now on with whatever backend is chosen for it.
void replace_later(FlowTracker::Work& w, Slot i, lb_flow_line& line, uint32_t entry) noexcept {
  w.replace[i] = {&line, entry};
  w.replaced |= 1ull << i;
}

void keep_backend(Batch& b, Slot i, const Snapshot& s, uint16_t backend) noexcept {
  b.meta[i].backend = backend;
  b.known |= 1ull << i;
  if ((s.backends[backend].flags & LB_BACKEND_RESOLVED) == 0) [[unlikely]]
    return b.drop(i, LB_DROP_NoNextHop);
  __builtin_prefetch(&s.backends[backend]);
}

// A first packet on an entry whose backend serves.
void meet_syn(Batch& b, Slot i, const Snapshot& s, FlowTracker& t, lb_flow_line& line, uint32_t entry) noexcept {
  const Meta& m = b.meta[i];
  const uint16_t backend = line.backend[entry];
  const bool eligible = is_eligible(s.services[m.service], s.backends[backend], m.family);
  const lb_flow_syn what = lb_flow_on_syn(line.state[entry], eligible, t.now_ms());
  if (what == LB_FLOW_SYN_CHOOSE) return replace_later(t.work, i, line, entry);
  if (what == LB_FLOW_SYN_BEGIN) put(line.state[entry], lb_flow_state(LB_FLOW_ONCE, t.now_ms()));
  keep_backend(b, i, s, backend);
}

[[gnu::noinline]] void meet(Batch& b, Slot i, const Snapshot& s, FlowTracker& t, lb_flow_line& line, uint32_t entry,
                            Tally& tally) noexcept {
  const Meta& m = b.meta[i];
  const uint16_t backend = line.backend[entry];
  const Serves serves = serves_flow(s, s.services[m.service], backend, m.family);
  if (serves != Serves::kYes) [[unlikely]] {
    tally.count(serves);
    return replace_later(t.work, i, line, entry);
  }
  if (is_tcp(m) && lb_flow_is_syn(m.tcp)) [[unlikely]]
    return meet_syn(b, i, s, t, line, entry);
  const uint16_t was = line.state[entry], now = lb_flow_next(was, is_tcp(m), m.tcp, t.now_ms());
  if (now != was) put(line.state[entry], now);
  tally.hits++;
  keep_backend(b, i, s, backend);
}

// The flow in a table that is not ours. RETURNS: 0 when it is not there, or its backend does not serve; else its state.
uint16_t look_in(const FlowTable& table, const Meta& m, const Snapshot& s, uint64_t now_ms,
                 uint16_t& backend) noexcept {
  for (const uint32_t at : {lb_flow_first_line(m.hash, table.count), lb_flow_second_line(m.hash, table.count)}) {
    const lb_flow_line line = net::copy_line(table.lines[at]);
    for (const uint32_t entry : Bits(net::match_flow(line, tags_of(m)))) {
      if (serves_flow(s, s.services[m.service], line.backend[entry], m.family) != Serves::kYes) continue;
      backend = line.backend[entry];
      return table.former ? state_at(table, line.state[entry], now_ms) : line.state[entry];
    }
  }
  return 0;
}

uint16_t look_elsewhere(std::span<const FlowTable> tables, const Meta& m, const Snapshot& s, uint64_t now_ms,
                        uint16_t& backend) noexcept {
  for (const FlowTable& table : tables) {
    if (!table.is_in_use()) continue;
    if (const uint16_t state = look_in(table, m, s, now_ms, backend); state != 0) return state;
  }
  return 0;
}

void prefetch_elsewhere(std::span<const FlowTable> tables, uint64_t hash) noexcept {
  for (const FlowTable& table : tables) {
    if (!table.is_in_use()) continue;
    __builtin_prefetch(&table.lines[lb_flow_first_line(hash, table.count)]);
    __builtin_prefetch(&table.lines[lb_flow_second_line(hash, table.count)]);
  }
}

// Packets in mid-flow of which we know nothing: a device may have put them on another queue than before.
void find_foreign(Batch& b, const Snapshot& s, FlowTracker& t, uint64_t unknown) noexcept {
  uint64_t look = 0, skipped = 0, found = 0;
  for (const Slot i : Bits(unknown)) {
    const Meta& m = b.meta[i];
    if (is_tcp(m) && lb_flow_is_syn(m.tcp)) continue;
    if (!t.may_look_elsewhere()) {
      skipped++;
      continue;
    }
    look |= 1ull << i;
    prefetch_elsewhere(t.others(), m.hash);
  }
  for (const Slot i : Bits(look)) {
    Meta& m = b.meta[i];
    uint16_t backend = 0;
    const uint16_t state = look_elsewhere(t.others(), m, s, t.now_ms(), backend);
    if (state == 0) continue;
    found++;
    t.work.copied |= 1ull << i;
    t.work.state[i] = lb_flow_next(state, is_tcp(m), m.tcp, t.now_ms());
    keep_backend(b, i, s, backend);
  }
  t.count(LB_COUNT_ForeignFound, found);
  t.count(LB_COUNT_ForeignSkipped, skipped);
}

lb_flow_cold record_of(const Meta& m, uint64_t now_ms) noexcept {
  return {.hash = m.hash,
          .src = m.src,
          .dst = m.dst,
          .sport = m.sport,
          .dport = m.dport,
          .proto = m.proto,
          .pad0 = {},
          .start_ms = now_ms,
          .check = 0};
}

// Whose entry the new flow gets.
struct Choice {
  FlowEntry entry;  // line null: nobody's
  FlowEntry other;  // when both are flows that go on and it must be judged who gives way; the other one
  bool must_judge = false;
};

// What that takes from somebody is nothing where the table would send both the same way.
FlowEntry judge(FlowTracker& t, const Snapshot& s, const Choice& choice) noexcept {
  for (const FlowEntry& e : {choice.entry, choice.other}) {
    if (!is_agreeing(t.cold_of(e), e.line->backend[e.index], s)) continue;
    t.count(LB_COUNT_FlowsEvictedAgreeing, 1);
    return e;
  }
  return {};
}

void write_entry(const FlowEntry& e, const Meta& m, uint16_t state) noexcept {
  put(e.line->tag[e.index], static_cast<uint16_t>(m.hash));
  put(e.line->tag2[e.index], static_cast<uint16_t>(m.hash >> 16));
  put(e.line->backend[e.index], m.backend);
  put(e.line->state[e.index], state);
}

// The entry that is to be replaced, unless another new flow of this batch has pushed this one out of it.
FlowEntry entry_to_replace(const FlowTracker::Work& w, Slot i, const Meta& m) noexcept {
  const FlowEntry& e = w.replace[i];
  return (net::match_flow(*e.line, tags_of(m)) >> e.index & 1) != 0 ? e : FlowEntry{};
}

// An earlier packet of this batch may have made the entry that this one was not found by.
bool find_late(Batch& b, Slot i, const Snapshot& s, const FlowTracker::Work& w) noexcept {
  Meta& m = b.meta[i];
  for (const lb_flow_line* line : {w.first[i], w.second[i]}) {
    const uint32_t found = net::match_flow(*line, tags_of(m));
    if (found == 0) continue;
    const uint16_t backend = line->backend[__builtin_ctz(found)];
    if (serves_flow(s, s.services[m.service], backend, m.family) != Serves::kYes) return false;
    m.backend = backend;
    return true;
  }
  return false;
}

}  // namespace

void find_quoted(Batch& b, const Snapshot& s, FlowTracker& t) noexcept {
  uint64_t skipped = 0;
  for (const Slot i : Bits(b.live & b.quoting)) {
    const Meta& m = b.meta[i];
    uint16_t backend = 0, state = look_in(t.own(), m, s, t.now_ms(), backend);
    if (state == 0 && !t.others().empty()) {
      if (t.may_look_elsewhere())
        state = look_elsewhere(t.others(), m, s, t.now_ms(), backend);
      else
        skipped++;
    }
    if (state != 0) keep_backend(b, i, s, backend);
  }
  t.count(LB_COUNT_ForeignSkipped, skipped);
}

void find_flows(Batch& b, const Snapshot& s, FlowTracker& t) noexcept {
  FlowTracker::Work& w = t.work;
  w.replaced = w.copied = 0;
  const FlowTable& own = t.own();
  const uint64_t slots = b.live & ~b.quoting;
  for (const Slot i : Bits(slots)) {
    w.first[i] = own.lines + lb_flow_first_line(b.meta[i].hash, own.count);
    __builtin_prefetch(w.first[i], 1);
  }
  Tally tally;
  uint64_t missed = 0;
  for (const Slot i : Bits(slots)) {
    const uint32_t found = net::match_flow(*w.first[i], tags_of(b.meta[i]));
    if (found != 0) {
      meet(b, i, s, t, *w.first[i], static_cast<uint32_t>(__builtin_ctz(found)), tally);
      continue;
    }
    missed |= 1ull << i;
    w.second[i] = own.lines + lb_flow_second_line(b.meta[i].hash, own.count);
    __builtin_prefetch(w.second[i], 1);
  }
  uint64_t unknown = 0;
  for (const Slot i : Bits(missed)) {
    const uint32_t found = net::match_flow(*w.second[i], tags_of(b.meta[i]));
    if (found != 0)
      meet(b, i, s, t, *w.second[i], static_cast<uint32_t>(__builtin_ctz(found)), tally);
    else
      unknown |= 1ull << i;
  }
  if (unknown != 0 && !t.others().empty()) find_foreign(b, s, t, unknown);
  t.count(LB_COUNT_FlowHits, tally.hits);
  t.count(LB_COUNT_FlowsMovedBackend, tally.moved_backend);
  t.count(LB_COUNT_FlowsMovedPool, tally.moved_pool);
  t.count(LB_COUNT_FlowsMovedMode, tally.moved_mode);
}

namespace {

// New flows of a batch, one after the other: what one of them takes the next one finds taken.
class Keeper {
 public:
  Keeper(Batch& b, const Snapshot& s, FlowTracker& t) noexcept : b_(b), s_(s), t_(t) {}

  void keep(Slot i) noexcept {
    FlowEntry entry = own_entry(i);
    if (entry.line == nullptr) {
      if (may_be_written(i) && find_late(b_, i, s_, t_.work)) return;
      const Choice choice = choose_entry(i);
      entry = choice.must_judge ? judge(t_, s_, choice) : choice.entry;
    }
    if (entry.line != nullptr)
      write(entry, i);
    else
      untracked_++;
  }
  void count() noexcept {
    t_.count(LB_COUNT_FlowsInserted, written_);
    t_.count(LB_COUNT_FlowsUntracked, untracked_);
    t_.count(LB_COUNT_FlowsEvictedOnce, evicted_once_);
    t_.count(LB_COUNT_FlowsEvictedClosing, evicted_closing_);
  }

 private:
  // Of a flow that is tracked already, and gets another backend.
  FlowEntry own_entry(Slot i) noexcept {
    FlowTracker::Work& w = t_.work;
    if ((w.replaced >> i & 1) == 0) return {};
    w.second[i] = t_.own().lines + lb_flow_second_line(b_.meta[i].hash, t_.own().count);
    return entry_to_replace(w, i, b_.meta[i]);
  }
  Choice choose_entry(Slot i) noexcept;
  // Whether an earlier packet of this batch may be of the same flow: false when surely none is.
  bool may_be_written(Slot i) const noexcept {
    const auto at = static_cast<uint32_t>(b_.meta[i].hash % kMarks);
    return (marks_[at / 64] >> (at % 64) & 1) != 0;
  }
  void write(const FlowEntry& e, Slot i) noexcept {
    const FlowTracker::Work& w = t_.work;
    const Meta& m = b_.meta[i];
    const auto at = static_cast<uint32_t>(m.hash % kMarks);
    marks_[at / 64] |= 1ull << at % 64;
    const bool copied = (w.copied >> i & 1) != 0;
    write_entry(e, m, copied ? w.state[i] : lb_flow_state(LB_FLOW_ONCE, t_.now_ms()));
    net::write_cold(t_.cold_of(e), record_of(m, t_.now_ms()));
    written_++;
  }

  Batch& b_;
  const Snapshot& s_;
  FlowTracker& t_;
  static constexpr uint32_t kMarks = 1024;
  std::array<uint64_t, kMarks / 64> marks_{};
  uint64_t written_ = 0, untracked_ = 0, evicted_once_ = 0, evicted_closing_ = 0;
};

Choice Keeper::choose_entry(Slot i) noexcept {
  lb_flow_line &first = *t_.work.first[i], &second = *t_.work.second[i];
  const uint32_t one = net::flow_victim(first, t_.now_ms());
  if (one >> 16 < LB_FLOW_HARM_ONCE) return {.entry = {&first, one & 0xffff}, .other = {}};
  const uint32_t two = net::flow_victim(second, t_.now_ms());
  const FlowEntry a{&first, one & 0xffff}, z{&second, two & 0xffff};
  if (two >> 16 < LB_FLOW_HARM_ONCE) return {.entry = z, .other = {}};
  // As words of bits: which one it is nobody can foresee, a branch neither.
  const auto first_is_less = static_cast<uint64_t>(one >> 16 <= two >> 16);
  const uint64_t mask = 0 - first_is_less;
  const auto pick = [mask](const FlowEntry& x, const FlowEntry& y) {
    const auto p = reinterpret_cast<uintptr_t>(x.line), q = reinterpret_cast<uintptr_t>(y.line);
    return FlowEntry{reinterpret_cast<lb_flow_line*>(q ^ ((p ^ q) & mask)),
                     y.index ^ ((x.index ^ y.index) & static_cast<uint32_t>(mask))};
  };
  const uint32_t harm = std::min(one, two) >> 16;
  if (harm >= LB_FLOW_HARM_FLOW) return {.entry = pick(a, z), .other = pick(z, a), .must_judge = true};
  evicted_once_ += harm < LB_FLOW_HARM_CLOSING;
  evicted_closing_ += harm >= LB_FLOW_HARM_CLOSING;
  return {.entry = pick(a, z), .other = {}};
}

}  // namespace

void keep_flows(Batch& b, const Snapshot& s, FlowTracker& t) noexcept {
  const uint64_t slots = b.live & (~b.known | t.work.copied) & ~b.quoting;
  if (slots == 0) return;
  Keeper keeper(b, s, t);
  for (const Slot i : Bits(slots))
    if (!is_tcp(b.meta[i]) || !lb_flow_is_refused(b.meta[i].tcp)) keeper.keep(i);
  keeper.count();
}

uint32_t peek_flow(Batch& b, Slot i, const Snapshot& s, std::span<const FlowTable> tables, uint64_t now_ms) noexcept {
  uint16_t backend = 0;
  const uint16_t state = look_elsewhere(tables, b.meta[i], s, now_ms, backend);
  if (state == 0) return LB_FLOW_FREE;
  keep_backend(b, i, s, backend);
  return lb_flow_class_of(state);
}

}  // namespace lb::stages
