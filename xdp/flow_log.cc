#include "xdp/flow_log.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "dataplane/net/flow_line.h"

namespace lb::xdp {
namespace {

// Records whose lines of the table are asked for at a time, and after which the program gets their room back.
constexpr uint64_t kAtATime = 32;

constexpr std::chrono::milliseconds kSeldom{10}, kOften{1};
// From here on a second of it would not find room for 10 ms.
constexpr size_t kMuch = LB_XDP_LOG_ENTRIES / 16;

struct Logged {
  lb_flow_cold record;
  const lb_flow_line* line = nullptr;  // null: it is no record
  uint64_t at = 0;
  uint32_t entry = 0;
};

Logged read(const lb_xdp_log_line& from, const stages::FlowTable& table) noexcept {
  Logged l;
  if (!net::read_cold(from.record, l.record)) return l;
  const uint32_t where = l.record.pad0[0];
  std::memset(l.record.pad0, 0, sizeof l.record.pad0);
  const uint32_t line = (where & LB_XDP_LOG_SECOND) != 0 ? lb_flow_second_line(l.record.hash, table.count)
                                                         : lb_flow_first_line(l.record.hash, table.count);
  l.entry = where % LB_FLOW_ENTRIES;
  l.at = uint64_t{line} * LB_FLOW_ENTRIES + l.entry;
  l.line = table.lines + line;
  __builtin_prefetch(l.line);
  return l;
}

// What a program writes past a full log must not give way to what was there before.
bool is_its_entry(const Logged& l) noexcept {
  return l.line != nullptr &&
         (net::match_flow(net::copy_line(*l.line), static_cast<uint32_t>(l.record.hash)) >> l.entry & 1) != 0;
}

}  // namespace

size_t drain_log(std::span<lb_xdp_log_line> log, const stages::FlowTable& table) noexcept {
  auto& ends = log[0].ends;
  const uint64_t head = __atomic_load_n(&ends.head, __ATOMIC_ACQUIRE);
  uint64_t tail = __atomic_load_n(&ends.tail, __ATOMIC_RELAXED);
  if (head - tail > LB_XDP_LOG_ENTRIES) {  // nobody of ours left it so
    tail = head;
    __atomic_store_n(&ends.tail, tail, __ATOMIC_RELEASE);
  }
  const uint64_t all = head - tail;
  while (tail != head) {
    std::array<Logged, kAtATime> batch;
    const uint64_t size = std::min(head - tail, kAtATime);
    for (uint64_t i = 0; i < size; i++) batch[i] = read(log[1 + (tail + i) % LB_XDP_LOG_ENTRIES], table);
    for (uint64_t i = 0; i < size; i++)
      if (is_its_entry(batch[i])) net::write_cold(table.cold[batch[i].at], batch[i].record);
    tail += size;
    __atomic_store_n(&ends.tail, tail, __ATOMIC_RELEASE);
  }
  return all;
}

std::chrono::milliseconds next_drain(size_t records) noexcept {
  return records < kMuch ? kSeldom : kOften;
}

}  // namespace lb::xdp
