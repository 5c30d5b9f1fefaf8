#include "xdp/flow_tables.h"

#include <algorithm>

#include "dataplane/flows/flow_clock.h"
#include "dataplane/net/flow_line.h"
#include "xdp/flow_log.h"

namespace lb::xdp {
namespace {

// Between our clock's reading and ours of the line, a packet may have written what seems to come from the future: it is
// young. The sweep sees to it that no live entry is old enough to be mistaken for one.
constexpr uint32_t kFuture = 0x1e00;
// Added to the time until which programs wrote: their clocks and ours tell it with some delay. Ages do not depend on
// it, as long as they do not wrap.
constexpr uint64_t kSlackMs = 8192;

bool is_over(uint16_t state, uint64_t then_ms, uint64_t since_ms) noexcept {
  const uint32_t what = lb_flow_class_of(state);
  if (what == LB_FLOW_FREE || what >= LB_FLOW_STALE) return false;
  const uint32_t shift = what == LB_FLOW_ONCE ? LB_FLOW_ONCE_SHIFT : LB_FLOW_OTHER_SHIFT;
  const uint32_t age = lb_flow_age(state, then_ms);
  return (age < kFuture ? age : 0) + (since_ms >> shift) >= lb_flow_timeout(what);
}

// RETURNS: false: a packet wrote the entry meanwhile, and has won.
bool replace(uint16_t& cell, uint16_t was, uint16_t by) noexcept {
  return __atomic_compare_exchange_n(&cell, &was, by, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// An age is what it was at then_ms and what went by since.
void mark_over(lb_flow_line& line, uint64_t then_ms, uint64_t since_ms) noexcept {
  for (uint16_t& cell : line.state) {
    const uint16_t state = __atomic_load_n(&cell, __ATOMIC_RELAXED);
    if (is_over(state, then_ms, since_ms)) (void)replace(cell, state, lb_flow_state(LB_FLOW_STALE, then_ms + since_ms));
  }
}

std::vector<std::span<const stages::FlowTable>> former_of(const FlowMaps& maps) {
  if (maps.former() == nullptr) return {};
  return {maps.former()->tables};
}

}  // namespace

void catch_up(std::span<lb_flow_line> lines, uint64_t until_ms, uint64_t now_ms) noexcept {
  const uint64_t then = std::min(now_ms, until_ms + kSlackMs);
  for (lb_flow_line& line : lines) mark_over(line, then, now_ms - then);
}

void catch_up(const FlowSet& set, uint64_t now_ms) noexcept {
  const FlowHeader& h = set.header();
  const uint64_t then = set.heartbeat(kByPrograms).now_ms;
  uint64_t until = h.stopped_ms != 0 ? h.stopped_ms : now_ms;
  if (h.stopped_ms == 0 && h.orphan_after_ms != 0) until = std::min(now_ms, then + h.orphan_after_ms);
  const auto lines = set.lines();
  catch_up(lines.first(lines.size() - h.lines), until, now_ms);
  set.heartbeat(kByPrograms).now_ms = now_ms;
  stages::catch_up(set.tables.back(), now_ms);  // only lbd writes it
}

void Sweep::go_on(uint64_t now_ms) noexcept {
  if (set_ == nullptr || now_ms <= then_ms_) return;
  const uint64_t elapsed = now_ms - then_ms_;
  if (elapsed >= LB_FLOW_SWEEP_MS) {
    const uint32_t orphan_after = set_->header().orphan_after_ms;
    catch_up(lines_, orphan_after == 0 ? now_ms : then_ms_ + orphan_after, now_ms);
  } else {
    rest_ += elapsed * lines_.size();
    uint64_t lines = rest_ / LB_FLOW_SWEEP_MS;
    rest_ %= LB_FLOW_SWEEP_MS;
    for (; lines != 0; lines--) {
      if (net::flows_timed_out(lines_[at_], now_ms) != 0) mark_over(lines_[at_], now_ms, 0);
      if (++at_ == lines_.size()) at_ = 0;
    }
  }
  then_ms_ = now_ms;
  __atomic_store_n(&set_->heartbeat(kByPrograms).now_ms, now_ms, __ATOMIC_RELAXED);
}

size_t drain(const FlowSet& set) noexcept {
  size_t most = 0;
  for (uint32_t w = 0; w < set.tables.size(); w++) most = std::max(most, drain_log(set.log_of(w), set.tables[w]));
  return most;
}

FlowTables::FlowTables(std::unique_ptr<FlowMaps> maps, uint64_t capacity)
    : FlowView(maps->current().tables, former_of(*maps), capacity), maps_(std::move(maps)) {
  const FlowSet& set = maps_->current();
  const auto lines = set.lines();
  current_ = Sweep(set, lines.first(lines.size() - maps_->lines()));
  if (const FlowSet* former = maps_->former(); former != nullptr) former_ = Sweep(*former, former->lines());
}

size_t FlowTables::drain() noexcept {
  const std::lock_guard lock(draining_);
  size_t most = xdp::drain(maps_->current());
  // A program of the lbd before may have written there until ours took its place.
  if (maps_->former() != nullptr && maps_->former()->in_use->load(std::memory_order_relaxed))
    most = std::max(most, xdp::drain(*maps_->former()));
  return most;
}

std::optional<uint64_t> FlowTables::scan(uint64_t position, uint64_t lines,
                                         const std::function<void(const model::Flow&)>& each, Which which) {
  if (position == 0) drain();
  return FlowView::scan(position, lines, each, which);
}

bool FlowTables::forget(const model::Flow& flow) {
  if (flow.table >= all().size() || !all()[flow.table].is_in_use()) return true;
  lb_flow_line& line = all()[flow.table].lines[flow.line];
  // Again where a packet of the flow came in between, which changes the state once in a quarter of a second at most.
  for (int tries = 0; tries < 3; tries++) {
    const lb_flow_line now = net::copy_line(line);
    if ((net::match_flow(now, static_cast<uint32_t>(flow.hash)) >> flow.entry & 1) == 0) break;
    if (replace(line.state[flow.entry], now.state[flow.entry], 0)) break;
  }
  return true;
}

void FlowTables::tidy() {
  const FlowSet* former = maps_->former();
  if (former == nullptr || !former->in_use->load(std::memory_order_relaxed)) return;
  if (flows::is_empty(former->tables, flows::flow_clock_ms())) maps_->retire_former();
}

void FlowTables::sweep(uint64_t now_ms) noexcept {
  current_.go_on(now_ms);
  if (maps_->former() != nullptr && maps_->former()->in_use->load(std::memory_order_relaxed)) former_.go_on(now_ms);
}

}  // namespace lb::xdp
