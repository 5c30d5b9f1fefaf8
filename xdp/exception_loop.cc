#include "xdp/exception_loop.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "dataplane/stages/count.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/split.h"

namespace lb::xdp {
namespace {

using stages::Slot;
using stages::Verdict;

constexpr int kTickMs = 1000;     // while nothing comes: flows time out all the same
constexpr int kHeldTickMs = 100;  // and what waits for its first fragment sooner

// The clock of the flow tables, as the programs read it.
uint64_t now_ms() noexcept {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

// __u64 and uint64_t are two types of one size; both sides go by atomic loads and stores.
uint64_t* counters_of(lb_xdp_worker& worker) noexcept {
  return reinterpret_cast<uint64_t*>(worker.counters);
}

}  // namespace

ExceptionLoop::ExceptionLoop(const ExceptionOptions& options, std::vector<Port> ports, Injector injector, Fd wakes,
                             size_t frame_room)
    : ports_(std::move(ports)),
      injector_(std::move(injector)),
      wakes_(std::move(wakes)),
      room_(frame_room),
      frames_((stages::kBatch + 1) * (kHeadroom + frame_room + 1)),
      tally_{counters_of(*options.worker), options.services, options.backends},
      tracker_(options.flow_table, options.other_flows, tally_.counters),
      fragments_(tally_.counters, {.held_bytes = static_cast<uint32_t>(frame_room)}),
      own_{
          .flows = options.flow_table.count > 0 ? &tracker_ : nullptr, .fragments = &fragments_, .answers = &answers_} {
  for (const Port& port : ports_) polled_.push_back({.fd = port.tap.fd(), .events = POLLIN, .revents = 0});
  polled_.push_back({.fd = wakes_.get(), .events = POLLIN, .revents = 0});
}

void ExceptionLoop::run() noexcept {
  while (!stop_.load(std::memory_order_acquire)) {
    wait();
    take_snapshot();
    if (snapshot_ == nullptr) continue;
    tick();
    for (size_t port = 0; port < ports_.size(); port++)
      if (polled_[port].revents != 0) do_batch(port);
  }
}

void ExceptionLoop::tick() noexcept {
  const uint64_t now = now_ms();
  if (own_.flows != nullptr) own_.flows->tick(now, nullptr);
  fragments_.tick(now);
  answers_.tick(now);
}

void ExceptionLoop::stop() noexcept {
  stop_.store(true, std::memory_order_release);  // partner: run()
  wake();
}

void ExceptionLoop::set_snapshot(std::shared_ptr<const model::Snapshot> snapshot) {
  {
    const std::lock_guard lock(mutex_);
    next_ = std::move(snapshot);
  }
  wake();
}

void ExceptionLoop::wake() noexcept {
  const uint64_t one = 1;
  (void)!write(wakes_.get(), &one, sizeof one);  // fails when the number is full: it wakes up then as well
}

void ExceptionLoop::take_snapshot() noexcept {
  if (polled_.back().revents == 0) return;
  uint64_t times;
  (void)!read(wakes_.get(), &times, sizeof times);
  std::shared_ptr<const model::Snapshot> next;
  {
    const std::lock_guard lock(mutex_);
    next.swap(next_);
  }
  if (next == nullptr) return;
  snapshot_ = std::move(next);
  generation_.store(net::raw(snapshot_->generation), std::memory_order_release);  // partner: generation()
}

// Before the first snapshot, for that alone.
void ExceptionLoop::wait() noexcept {
  const bool ready = snapshot_ != nullptr;
  for (pollfd& p : polled_) p.revents = 0;
  if (ready)
    (void)poll(polled_.data(), polled_.size(), fragments_.held() == 0 ? kTickMs : kHeldTickMs);
  else
    (void)poll(&polled_.back(), 1, -1);
}

void ExceptionLoop::do_batch(size_t port) noexcept {
  const uint32_t n = receive(port);
  if (n == 0) return;
  batch_.start(n);
  batch_.ingress = static_cast<uint16_t>(port);
  finish(port, n);
  go_on_with_woken();
}

void ExceptionLoop::finish(size_t port, uint32_t n) noexcept {
  batch_.port_mac = ports_[port].mac.bytes;
  batch_.exception_path = true;
  stages::run(batch_, *snapshot_, own_);
  give_back(ports_[port], n);
  if (batch_.splits != 0) send_pieces();
  send(n);
  stages::count_verdicts(batch_, n, tally_);
}

// Fragments whose first one has come, as batches of their own.
void ExceptionLoop::go_on_with_woken() noexcept {
  while (fragments_.has_woken()) {
    const size_t port = fragments_.woken_ingress();
    const uint32_t n = fragments_.release(batch_, [this](Slot i, uint16_t) noexcept {
      batch_.headroom[i] = kHeadroom;
      return frame_at(i);
    });
    finish(port, n);
  }
}

// What the kernel itself sends out by the TAP is not to the port's address, and nobody's packet.
uint32_t ExceptionLoop::receive(size_t port) noexcept {
  Port& from = ports_[port];
  uint32_t n = 0;
  for (uint32_t reads = 0; reads < stages::kBatch; reads++) {
    uint8_t* const frame = frame_at(n);
    const int64_t bytes = from.tap.read(frame, room_);
    if (bytes < 0) polled_[port].fd = -1;  // somebody removed it; the program counts no_exception_path now
    if (bytes <= 0) break;
    if (bytes < static_cast<int64_t>(sizeof(lb_eth)) || std::memcmp(frame, from.mac.bytes.data(), 6) != 0) continue;
    stages::bump(tally_.counters[LB_COUNT_HandedIn], 1);
    if (bytes > static_cast<int64_t>(room_)) {
      stages::bump(tally_.counters[LB_DROP_TooBig], 1);
      continue;
    }
    batch_.data[n] = frame;
    batch_.length[n] = static_cast<uint16_t>(bytes);
    batch_.headroom[n] = kHeadroom;
    n++;
  }
  return n;
}

void ExceptionLoop::give_back(const Port& port, uint32_t n) noexcept {
  for (const Slot i : stages::Bits(batch_.slots_with(Verdict::kPunt, n)))
    if (!injector_.give(batch_.data[i], batch_.length[i], port.index, port.given_back))
      batch_.drop(i, LB_DROP_NoExceptionPath);
}

Sent ExceptionLoop::send_one(uint16_t egress, const uint8_t* frame, size_t length) noexcept {
  return egress < ports_.size() ? ports_[egress].sender.send(frame, length) : Sent::kFull;
}

void ExceptionLoop::send(uint32_t n) noexcept {
  const uint64_t forwarded = batch_.slots_with(Verdict::kForward, n) & ~batch_.splits;
  for (const Slot i : stages::Bits(forwarded | batch_.slots_with(Verdict::kAnswer, n))) {
    const Sent sent = send_one(batch_.egress[i], batch_.data[i], batch_.length[i]);
    if (sent != Sent::kTaken) batch_.drop(i, sent == Sent::kTooBig ? LB_DROP_TooBig : LB_DROP_TxFull);
  }
}

// Up to the first piece that is not taken: without it the others are of no use.
void ExceptionLoop::send_pieces() noexcept {
  uint8_t* const frame = frame_at(stages::kBatch) - kHeadroom;  // a piece may be longer than the room of a frame
  for (const Slot i : stages::Bits(batch_.splits)) {
    stages::Split split(batch_, i, *snapshot_);
    uint32_t pieces = 0, bytes = 0;
    Sent sent = Sent::kTaken;
    while (const uint32_t length = split.frame_bytes()) {
      split.write(frame);
      sent = send_one(batch_.egress[i], frame, length);
      if (sent != Sent::kTaken) break;
      pieces++;
      bytes += length;
    }
    stages::bump(tally_.counters[LB_COUNT_PiecesSent], pieces);
    if (pieces == 0) {
      batch_.drop(i, sent == Sent::kTooBig ? LB_DROP_TooBig : LB_DROP_TxFull);
    } else {
      batch_.forward(i, batch_.egress[i]);
      batch_.length[i] = static_cast<uint16_t>(std::min<uint32_t>(bytes, UINT16_MAX));
    }
  }
}

}  // namespace lb::xdp
