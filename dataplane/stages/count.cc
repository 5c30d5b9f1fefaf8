#include "dataplane/stages/count.h"

namespace lb::stages {
namespace {

void count_traffic(lb_traffic& t, uint64_t bytes) noexcept {
  bump(t.packets, 1);
  bump(t.bytes, bytes);
}

}  // namespace

void count(const Batch& b, uint32_t n, uint64_t rx_bytes, WorkerState& w) noexcept {
  count_verdicts(b, n, w);
  bump(w.counters[LB_COUNT_RxPackets], n);
  bump(w.counters[LB_COUNT_RxBytes], rx_bytes);
}

void count_verdicts(const Batch& b, uint32_t n, WorkerState& w) noexcept {
  uint64_t forwarded = 0, forwarded_bytes = 0, punted = 0;
  for (Slot i = 0; i < n; i++) {
    switch (b.verdict[i]) {
      case Verdict::kForward:
        forwarded++;
        forwarded_bytes += b.length[i];
        count_traffic(w.services[b.meta[i].service], b.length[i]);
        count_traffic(w.backends[b.meta[i].backend], b.length[i]);
        break;
      case Verdict::kPunt:
        punted++;
        break;
      case Verdict::kDrop:
        bump(w.counters[b.reason[i]], 1);
        break;
      case Verdict::kNone:
        __builtin_unreachable();
    }
  }
  bump(w.counters[LB_COUNT_Forwarded], forwarded);
  bump(w.counters[LB_COUNT_ForwardedBytes], forwarded_bytes);
  bump(w.counters[LB_COUNT_Punted], punted);
}

}  // namespace lb::stages
