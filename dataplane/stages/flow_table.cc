#include "dataplane/stages/flow_table.h"

#include <algorithm>

#include "dataplane/net/rules.h"
#include "dataplane/stages/worker_state.h"

namespace lb::stages {
namespace {

constexpr uint32_t kRequestsPerTick = 256;

void mark_stale(lb_flow_line& line, uint32_t entries, uint64_t now_ms) noexcept {
  for (uint32_t e : Bits(entries)) net::put(line.state[e], lb_flow_state(LB_FLOW_STALE, now_ms));
}

}  // namespace

uint16_t state_at(const FlowTable& table, uint16_t state, uint64_t now_ms) noexcept {
  const uint64_t then = __atomic_load_n(&table.heartbeat->now_ms, __ATOMIC_RELAXED);
  if (state == 0 || now_ms < then + LB_FLOW_SWEEP_MS) return state;
  const uint32_t what = lb_flow_class_of(state);
  const uint32_t shift = what == LB_FLOW_ONCE ? LB_FLOW_ONCE_SHIFT : LB_FLOW_OTHER_SHIFT;
  const uint64_t age = lb_flow_age(state, then) + ((now_ms - then) >> shift);
  return age < lb_flow_timeout(what) ? state : lb_flow_state(LB_FLOW_STALE, now_ms);
}

void catch_up(const FlowTable& table, uint64_t now_ms) noexcept {
  for (uint32_t l = 0; l < table.count; l++) {
    lb_flow_line& line = table.lines[l];
    for (uint16_t& state : line.state) {
      const uint16_t now = state_at(table, state, now_ms);
      if (now != state) net::put(state, now);
    }
  }
  __atomic_store_n(&table.heartbeat->now_ms, now_ms, __ATOMIC_RELAXED);
}

void FlowTracker::tick(uint64_t now_ms, FlowRequests* requests) noexcept {
  FlowRequest r;
  for (uint32_t n = 0; requests != nullptr && n < kRequestsPerTick && requests->pop(r); n++) forget(r);
  if (now_ms == now_ms_) return;
  const uint64_t elapsed = now_ms_ == 0 ? 0 : std::min(now_ms - now_ms_, uint64_t{LB_FLOW_SWEEP_MS});
  // Stopped for longer than the sweep may be away: time fields may have wrapped.
  if (now_ms_ != 0 && now_ms - now_ms_ >= LB_FLOW_SWEEP_MS) catch_up(own_, now_ms);
  now_ms_ = now_ms;
  budget_ = std::min(budget_ + elapsed * LB_FOREIGN_LINES_PER_MS, uint64_t{LB_FOREIGN_MOST_LINES});
  sweep(elapsed);
  __atomic_store_n(&own_.heartbeat->now_ms, now_ms, __ATOMIC_RELAXED);
}

void FlowTracker::sweep(uint64_t elapsed_ms) noexcept {
  sweep_rest_ += elapsed_ms * own_.count;
  const auto lines = static_cast<uint32_t>(sweep_rest_ / LB_FLOW_SWEEP_MS);
  sweep_rest_ %= LB_FLOW_SWEEP_MS;
  for (uint32_t n = 0; n < lines; n++) {
    lb_flow_line& line = own_.lines[sweep_at_];
    if (const uint32_t over = net::flows_timed_out(line, now_ms_); over != 0) mark_stale(line, over, now_ms_);
    if (++sweep_at_ == own_.count) sweep_at_ = 0;
  }
}

void FlowTracker::forget(const FlowRequest& r) noexcept {
  if (r.line >= own_.count || r.entry >= LB_FLOW_ENTRIES) return;
  lb_flow_line& line = own_.lines[r.line];
  if ((net::match_flow(line, r.tags) >> r.entry & 1) != 0) net::put(line.state[r.entry], 0);
}

bool FlowTracker::may_look_elsewhere() noexcept {
  const uint64_t price = 2 * others_.size();
  if (budget_ < price) return false;
  budget_ -= price;
  return true;
}

void FlowTracker::count(lb_counter what, uint64_t by) noexcept {
  if (by != 0) bump(counters_[what], by);
}

}  // namespace lb::stages
