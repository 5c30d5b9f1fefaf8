#include "dataplane/dpdk/twin.h"

#include <sys/uio.h>

#include <algorithm>
#include <utility>

#include <rte_mbuf.h>
#include <rte_ring.h>

namespace lb::dpdk {
namespace {

static_assert(host::kUpRings.size() == kPuntClasses);
constexpr int kMaxPieces = 16;  // segments of a frame

void add(std::atomic<uint64_t>& counter, uint64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

net::Result<std::unique_ptr<Twin>> Twin::open(const TwinOptions& options, const Device& device) {
  auto tap = Tap::open(options.name, options.mac, options.mtu);
  if (!tap) return tap.error();
  std::unique_ptr<Twin> twin(new Twin(options, device, std::move(*tap)));
  for (size_t c = 0; c < kPuntClasses; c++) {
    auto ring = make_punt_ring(host::kUpRings[c]);
    if (!ring) return ring.error();
    twin->up_[c] = std::move(*ring);
    twin->punts_.ring[c] = twin->up_[c].get();
  }
  auto down = make_ring();
  if (!down) return down.error();
  twin->from_kernel_ = std::move(*down);
  twin->follow_link();
  return twin;
}

Twin::~Twin() {
  if (spares_ > 0) rte_pktmbuf_free_bulk(spare_.data(), spares_);
}

TwinCounters Twin::counters() const {
  return {.to_kernel = to_kernel_.load(std::memory_order_relaxed),
          .to_kernel_lost = to_kernel_lost_.load(std::memory_order_relaxed),
          .from_kernel = from_kernel_count_.load(std::memory_order_relaxed),
          .from_kernel_lost = from_kernel_lost_.load(std::memory_order_relaxed) + tap_->dropped()};
}

void Twin::follow_link() {
  const bool up = device_.link_up();
  if (up == link_up()) return;
  if (tap_->set_carrier(up)) link_up_.store(up, std::memory_order_relaxed);
}

// All classes get their share of a round, the first of them first.
bool Twin::carry() noexcept {
  bool any = false;
  for (const Ring& ring : up_) any |= carry_up(ring.get());
  return carry_down() || any;
}

bool Twin::carry_up(rte_ring* from) noexcept {
  std::array<rte_mbuf*, kBurst> frames;
  const uint32_t n = rte_ring_dequeue_burst(from, reinterpret_cast<void**>(frames.data()), kBurst, nullptr);
  if (n == 0) return false;
  uint32_t written = 0;
  for (uint32_t i = 0; i < n; i++) written += write(frames[i]) ? 1 : 0;
  rte_pktmbuf_free_bulk(frames.data(), n);
  add(to_kernel_, written);
  add(to_kernel_lost_, n - written);
  return true;
}

bool Twin::write(rte_mbuf* frame) noexcept {
  std::array<iovec, kMaxPieces> pieces;
  int count = 0;
  for (rte_mbuf* m = frame; m != nullptr; m = m->next) {
    if (count == kMaxPieces) return false;
    pieces[static_cast<size_t>(count++)] = {rte_pktmbuf_mtod(m, void*), m->data_len};
  }
  return tap_->write(pieces.data(), count);
}

bool Twin::has_room() const noexcept {
  return rte_ring_free_count(from_kernel_.get()) >= kBurst;
}

bool Twin::carry_down() noexcept {
  if (!has_room()) return false;
  std::array<rte_mbuf*, kBurst> frames;
  uint32_t n = 0;
  while (n < kBurst && (frames[n] = read()) != nullptr) n++;
  if (n == 0) return false;
  rte_ring_enqueue_burst(from_kernel_.get(), reinterpret_cast<void**>(frames.data()), n, nullptr);  // there is room
  add(from_kernel_count_, n);
  return true;
}

// RETURNS: null: nothing waits, or there is no buffer for it. What is longer than the port takes is lost and counted.
rte_mbuf* Twin::read() noexcept {
  while (true) {
    if (spares_ == 0) {
      if (rte_pktmbuf_alloc_bulk(options_.pool, spare_.data(), kBurst) != 0) return nullptr;
      spares_ = kBurst;
    }
    rte_mbuf* frame = spare_[spares_ - 1];
    const size_t room = rte_pktmbuf_tailroom(frame);
    const size_t length = tap_->read(rte_pktmbuf_mtod(frame, uint8_t*), room);
    if (length == 0) return nullptr;
    if (length > std::min<size_t>(room, options_.largest_frame)) {
      add(from_kernel_lost_, 1);
      continue;
    }
    frame->data_len = static_cast<uint16_t>(length);
    frame->pkt_len = static_cast<uint32_t>(length);
    spares_--;
    return frame;
  }
}

}  // namespace lb::dpdk
