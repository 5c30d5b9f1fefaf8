#include "dataplane/flows/flow_view.h"

#include <algorithm>

#include "dataplane/flows/flow_clock.h"

namespace lb::flows {
namespace {

using model::BackendFlows;
using model::FlowClass;

constexpr uint32_t kTableShift = 40;  // of a scan's position: table above, line below

// A worker's clock may be a little ahead of ours, so that an entry seems to come from the future: it is young, not old.
// The sweep sees to it that no live one is old enough to be mistaken for one.
constexpr uint32_t kFuture = 0x1e00;

uint32_t age_of(uint16_t state, uint64_t now_ms) {
  const uint32_t age = lb_flow_age(state, now_ms);
  return age < kFuture ? age : 0;
}
bool is_live(uint16_t state, uint64_t now_ms) {
  return state != 0 && age_of(state, now_ms) < lb_flow_timeout(lb_flow_class_of(state));
}
uint32_t idle_ms(uint16_t state, uint64_t now_ms) {
  const bool once = lb_flow_class_of(state) == LB_FLOW_ONCE;
  return age_of(state, now_ms) << (once ? LB_FLOW_ONCE_SHIFT : LB_FLOW_OTHER_SHIFT);
}

FlowClass class_of(uint16_t state) {
  return model::to_flow_class(lb_flow_class_of(state));
}

void add(BackendFlows& sum, uint16_t state, uint64_t now_ms) {
  switch (class_of(state)) {
    case FlowClass::kOnce:
      sum.once++;
      break;
    case FlowClass::kEstablished:
      sum.established++;
      break;
    case FlowClass::kClosing:
      sum.closing++;
      break;
    case FlowClass::kUdp:
      sum.udp++;
      break;
  }
  sum.idle_ms = std::min(sum.idle_ms, idle_ms(state, now_ms));
}

uint16_t state_of(const stages::FlowTable& t, uint16_t state, uint64_t now_ms) {
  return t.former ? stages::state_at(t, state, now_ms) : state;
}

}  // namespace

FlowView::FlowView(std::span<const stages::FlowTable> current,
                   std::span<const std::span<const stages::FlowTable>> former, uint64_t capacity)
    : capacity_(capacity), others_(current.size()) {
  const auto take = [this](std::span<const stages::FlowTable> set) {
    for (size_t w = 0; w < set.size(); w++) {
      tables_.push_back(set[w]);
      worker_numbers_.push_back(static_cast<uint32_t>(w));
    }
  };
  take(current);
  for (const auto& set : former) take(set);
  for (uint32_t w = 0; w < workers(); w++)
    for (uint32_t t = 0; t < tables_.size(); t++)
      if (t != w) others_[w].push_back(tables_[t]);
}

model::FlowTotals FlowView::count() {
  model::FlowTotals totals;
  totals.capacity = capacity_;
  totals.backends.resize(LB_MAX_BACKENDS + 1);
  const uint64_t now = flow_clock_ms();
  for (const stages::FlowTable& t : tables_) {
    if (!t.is_in_use()) continue;
    for (uint32_t l = 0; l < t.count; l++) {
      const lb_flow_line line = net::copy_line(t.lines[l]);
      for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++) {
        if (line.state[e] == 0) continue;
        BackendFlows& sum = totals.backends[line.backend[e]];
        sum.named = true;
        const uint16_t state = state_of(t, line.state[e], now);
        if (!is_live(state, now)) continue;
        add(sum, state, now);
        totals.live++;
      }
    }
  }
  return totals;
}

bool FlowView::is_current_too(uint64_t hash) const noexcept {
  for (uint32_t w = 0; w < workers(); w++) {
    const stages::FlowTable& t = tables_[w];
    for (const uint32_t at : {lb_flow_first_line(hash, t.count), lb_flow_second_line(hash, t.count)})
      if (net::match_flow(net::copy_line(t.lines[at]), static_cast<uint32_t>(hash)) != 0) return true;
  }
  return false;
}

void FlowView::show(uint32_t table, uint32_t at, uint64_t now, const std::function<void(const model::Flow&)>& each,
                    Which which) const {
  const stages::FlowTable& t = tables_[table];
  const lb_flow_line line = net::copy_line(t.lines[at]);
  for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++) {
    const uint16_t state = state_of(t, line.state[e], now);
    lb_flow_cold record;
    const bool over = !is_live(state, now);
    if (line.state[e] == 0 || (over && which == Which::kLive)) continue;
    if (!net::read_cold(t.cold[uint64_t{at} * LB_FLOW_ENTRIES + e], record)) continue;
    const uint32_t tags = line.tag[e] | static_cast<uint32_t>(line.tag2[e]) << 16;
    if (static_cast<uint32_t>(record.hash) != tags) continue;  // the entry has just become another flow's
    if (t.former && is_current_too(record.hash)) continue;
    model::Flow flow;
    flow.source = record.src;
    flow.destination = record.dst;
    flow.source_port = record.sport;
    flow.destination_port = record.dport;
    flow.proto = static_cast<net::IpProto>(record.proto);
    flow.flow_class = class_of(state);
    flow.backend = net::BackendId(line.backend[e]);
    flow.worker = net::WorkerId(static_cast<uint16_t>(worker_numbers_[table]));
    flow.former = t.former;
    flow.over = over;
    flow.idle_ms = idle_ms(state, now);
    flow.age_ms = now > record.start_ms ? now - record.start_ms : 0;
    flow.hash = record.hash;
    flow.table = table;
    flow.line = at;
    flow.entry = e;
    each(flow);
  }
}

std::optional<uint64_t> FlowView::scan(uint64_t position, uint64_t lines,
                                       const std::function<void(const model::Flow&)>& each, Which which) {
  const uint64_t now = flow_clock_ms();
  auto table = static_cast<uint32_t>(position >> kTableShift);
  uint64_t line = position & ((1ull << kTableShift) - 1);
  while (table < tables_.size()) {
    if (line >= tables_[table].count || !tables_[table].is_in_use()) {
      table++;
      line = 0;
      continue;
    }
    if (lines-- == 0) return uint64_t{table} << kTableShift | line;
    show(table, static_cast<uint32_t>(line++), now, each, which);
  }
  return std::nullopt;
}

bool is_empty(std::span<const stages::FlowTable> former, uint64_t now_ms) noexcept {
  for (const stages::FlowTable& t : former) {
    for (uint32_t l = 0; l < t.count; l++) {
      const lb_flow_line line = net::copy_line(t.lines[l]);
      for (const uint16_t state : line.state)
        if (is_live(stages::state_at(t, state, now_ms), now_ms)) return false;
    }
  }
  return true;
}

}  // namespace lb::flows
