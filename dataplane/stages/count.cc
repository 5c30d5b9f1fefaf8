#include "dataplane/stages/count.h"

namespace lb::stages {
namespace {

void count_traffic(lb_traffic& t, uint64_t bytes) noexcept {
  bump(t.packets, 1);
  bump(t.bytes, bytes);
}

uint64_t number_of(uint64_t slots) noexcept {
  return static_cast<uint64_t>(__builtin_popcountll(slots));
}

// A batch is often of one service, which is counted at once then: a counter that every packet adds to would make each
// wait for the one before.
template <class Service, class Backend>
void count_forwarded(const Batch& b, uint64_t slots, const Service& service_of, const Backend& backend_of,
                     const Tally& w) noexcept {
  lb_traffic *const services = w.services, *const backends = w.backends;
  const uint32_t first = service_of(static_cast<Slot>(__builtin_ctzll(slots)));
  uint32_t others = 0;
  uint64_t bytes = 0;
  for (Slot i : Bits(slots)) {
    bytes += b.length[i];
    others |= service_of(i) ^ first;
    count_traffic(backends[backend_of(i)], b.length[i]);
  }
  if (others == 0) {
    bump(services[first].packets, number_of(slots));
    bump(services[first].bytes, bytes);
  } else {
    for (Slot i : Bits(slots)) count_traffic(services[service_of(i)], b.length[i]);
  }
  bump(w.counters[LB_COUNT_Forwarded], number_of(slots));
  bump(w.counters[LB_COUNT_ForwardedBytes], bytes);
}

}  // namespace

void count(const Batch& b, uint32_t n, uint64_t rx_bytes, WorkerState& w) noexcept {
  count_verdicts(b, n, w.tally());
  bump(w.counters[LB_COUNT_RxPackets], n);
  bump(w.counters[LB_COUNT_RxBytes], rx_bytes);
}

void count_verdicts(const Batch& b, uint32_t n, const Tally& w) noexcept {
  const uint64_t forwarded = b.slots_with(Verdict::kForward, n), punted = b.slots_with(Verdict::kPunt, n);
  const uint64_t usual = forwarded & b.usual.sent, others = forwarded & ~usual;
  if (usual != 0)
    count_forwarded(
        b, usual, [&](Slot i) { return b.usual.service[i]; }, [&](Slot i) { return b.usual.backend[i]; }, w);
  if (others != 0)
    count_forwarded(
        b, others, [&](Slot i) { return b.meta[i].service; }, [&](Slot i) { return b.meta[i].backend; }, w);
  uint64_t dropped = Batch::first_slots(n) & ~(forwarded | punted);
  if (b.refused != 0) {
    const uint64_t answered = b.slots_with(Verdict::kAnswer, n);
    bump(w.counters[LB_COUNT_Answered], number_of(answered));
    dropped &= ~answered;
  }
  if (b.fragments != 0) dropped &= ~b.slots_with(Verdict::kHold, n);  // `held` is told by Fragments
  for (Slot i : Bits(dropped)) bump(w.counters[b.reason[i]], 1);
  bump(w.counters[LB_COUNT_Punted], number_of(punted));
  if (b.quoting != 0) bump(w.counters[LB_COUNT_ErrorsForwarded], number_of(forwarded & b.quoting));
}

}  // namespace lb::stages
