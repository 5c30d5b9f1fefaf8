#include "dataplane/stages/answer_limit.h"

#include <algorithm>

namespace lb::stages {
namespace {

// When the answer after one at `now` would be due; 0: that one is beyond the burst.
uint64_t due_after(uint64_t due, uint64_t now, uint64_t every, uint64_t burst) noexcept {
  const uint64_t next = std::max(due, now) + every;
  return next - now <= every * burst ? next : 0;
}

}  // namespace

AnswerBudget::Source& AnswerBudget::source_of(uint64_t hash) noexcept {
  auto& sources = places_[hash % places_.size()].sources;
  for (Source& s : sources)
    if (s.hash == hash) return s;
  Source& s = *std::ranges::min_element(sources, {}, &Source::due_ms);
  s = {.hash = hash, .due_ms = 0};
  return s;
}

bool AnswerBudget::take_from_total(uint64_t now_ms) noexcept {
  const uint64_t due = due_after(total_due_us_, now_ms * 1000, kTotalEveryUs, kTotalBurst);
  if (due != 0) total_due_us_ = due;
  return due != 0;
}

bool AnswerBudget::take(uint64_t source, uint64_t now_ms) noexcept {
  Source& s = source_of(source);
  const uint64_t due = due_after(s.due_ms, now_ms, kSourceEveryMs, kSourceBurst);
  if (due == 0 || !take_from_total(now_ms)) return false;
  s.due_ms = due;
  return true;
}

}  // namespace lb::stages
