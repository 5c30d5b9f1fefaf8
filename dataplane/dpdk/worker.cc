#include "dataplane/dpdk/worker.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

#include <rte_mbuf.h>
#include <rte_pause.h>

#include "dataplane/dpdk/dispatch.h"
#include "dataplane/dpdk/pieces.h"
#include "dataplane/dpdk/punt.h"
#include "dataplane/dpdk/tx.h"
#include "dataplane/flows/flow_clock.h"
#include "dataplane/stages/count.h"
#include "dataplane/stages/pipeline.h"

namespace lb::dpdk {
namespace {

constexpr uint32_t kSpins = 64;              // empty polls before the first sleep: a gap between two bursts
constexpr uint32_t kLongIdle = 2000;         // sleeps, about a second, before the longest ones
constexpr long kFirstSleep = 20'000;         // ns; doubled while nothing comes
constexpr long kSleep = 500'000;             // ns; what the smallest receive ring (512) holds at 1 M packets/s
constexpr long kLongestSleep = 1'000'000;    // ns; halves what an idle daemon costs
constexpr unsigned long kTimerSlack = 5000;  // ns; the default of 50 µs would be most of a short sleep

long sleep_time(uint32_t sleeps) noexcept {
  if (sleeps >= kLongIdle) return kLongestSleep;
  return std::min(kFirstSleep << std::min(sleeps, 8u), kSleep);
}

void sleep_ns(long ns) noexcept {
  const timespec time = {0, ns};
  (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

}  // namespace

void Worker::run() noexcept {
  prctl(PR_SET_TIMERSLACK, kTimerSlack);
  readers_.online(options_.number);
  uint32_t idle_polls = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    readers_.quiescent(options_.number);
    const model::Snapshot& snapshot = *snapshots_.read();
    const uint64_t generation = net::raw(snapshot.generation);
    if (generation_.load(std::memory_order_relaxed) != generation)
      generation_.store(generation, std::memory_order_release);  // partner: generation()
    tick();
    if (fragments_.has_woken()) go_on_with_woken(snapshot);
    uint32_t received = 0;
    for (const RxQueue& queue : options_.rx) received += poll(queue, snapshot);
    for (const Relay& r : options_.relays) received += relay(r);
    idle_polls = received == 0 ? std::min(idle_polls + 1, kSpins + kLongIdle) : 0;
    if (idle_polls > 0) rest(idle_polls);
  }
  readers_.offline(options_.number);
}

void Worker::tick() noexcept {
  const uint64_t now_ms = flows::flow_clock_ms();
  if (own_.flows != nullptr) own_.flows->tick(now_ms, options_.flow_requests);
  fragments_.tick(now_ms);
  answers_.tick(now_ms);
}

uint32_t Worker::poll(const RxQueue& queue, const model::Snapshot& snapshot) noexcept {
  Arrival arrival;
  const uint32_t n = receive(queue, burst_, batch_, arrival);
  if (arrival.packets == 0) return 0;
  if (n > 0) finish(queue, n, snapshot);
  count_arrival(queue, arrival);
  if (fragments_.has_woken()) go_on_with_woken(snapshot);
  return arrival.packets;
}

void Worker::finish(const RxQueue& queue, uint32_t n, const model::Snapshot& snapshot) noexcept {
  stages::run(batch_, snapshot, own_);
  uint64_t given = queue.punts == nullptr ? 0 : hand_up(*queue.punts, burst_, n, batch_);
  if (batch_.splits != 0) {
    uint64_t pieces = 0;
    given |= send_pieces(options_.tx, burst_, batch_, snapshot, pieces);
    stages::bump(state_.counters[LB_COUNT_PiecesSent], pieces);
  }
  send(options_.tx, burst_, n, batch_, given);
  stages::count_verdicts(batch_, n, state_);
}

// Fragments whose first one has come, as batches of their own.
void Worker::go_on_with_woken(const model::Snapshot& snapshot) noexcept {
  while (fragments_.has_woken()) {
    const auto queue = std::find_if(options_.rx.begin(), options_.rx.end(), [this](const RxQueue& q) {
      return q.port == fragments_.woken_ingress();
    });  // by one of them it came
    const uint32_t n = fragments_.release(batch_, [&](stages::Slot i, uint16_t bytes) noexcept -> uint8_t* {
      burst_[i] = rte_pktmbuf_alloc(queue->pool);
      if (burst_[i] == nullptr) return nullptr;
      char* const room = rte_pktmbuf_append(burst_[i], bytes);
      if (room == nullptr) {
        rte_pktmbuf_free(burst_[i]);
        return nullptr;
      }
      batch_.headroom[i] = rte_pktmbuf_headroom(burst_[i]);
      return reinterpret_cast<uint8_t*>(room);
    });
    batch_.port_mac = queue->mac;
    batch_.kernel_copy = queue->kernel_copy;
    batch_.exception_path = queue->punts != nullptr;
    if (n > 0) finish(*queue, n, snapshot);
  }
}

void Worker::count_arrival(const RxQueue& queue, const Arrival& arrival) noexcept {
  if (queue.ring != nullptr) return stages::bump(state_.counters[LB_COUNT_HandedIn], arrival.packets);
  stages::bump(state_.counters[LB_COUNT_RxPackets], arrival.packets);
  stages::bump(state_.counters[LB_COUNT_RxBytes], arrival.bytes);
  if (queue.handoff == nullptr) return;
  stages::bump(state_.counters[LB_COUNT_HandedOut], arrival.handed_out);
  stages::bump(state_.counters[LB_COUNT_HandoffFull], arrival.handoff_full);
}

void Worker::rest(uint32_t idle_polls) noexcept {
  if (idle_polls == kSpins) flush(options_.tx);
  if (options_.idle == model::Idle::kPoll || idle_polls < kSpins) return rte_pause();
  sleep_ns(sleep_time(idle_polls - kSpins));
}

}  // namespace lb::dpdk
