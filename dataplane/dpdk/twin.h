// A port's twin: the TAP by which the kernel has a port that it cannot see, and the rings between it and the workers.
// Punted packets go up by it, the kernel's packets come down and leave by the port, unchanged both ways.
//
// Threads: open(), keep() and the destructor are control's, before the workers start and after they and the exception
// thread ended; link_up() and counters() anybody's; the rest is the exception thread's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/dpdk/device.h"
#include "dataplane/dpdk/dispatch_rings.h"
#include "dataplane/dpdk/punt.h"
#include "dataplane/dpdk/tap.h"

struct rte_mbuf;
struct rte_mempool;

namespace lb::dpdk {

struct TwinOptions {
  std::string name;  // of the interface
  net::Mac mac;      // all zeros: its own
  uint16_t mtu = 1500;
  uint16_t largest_frame = 0;   // that the port takes
  rte_mempool* pool = nullptr;  // of the port, for any thread; what comes from the kernel is put into its buffers
};

struct TwinCounters {
  uint64_t to_kernel = 0, to_kernel_lost = 0, from_kernel = 0, from_kernel_lost = 0;
};

class Twin {
 public:
  // device: outlives it. ERRORS: those of Tap::open(), kUnavailable (memory).
  static net::Result<std::unique_ptr<Twin>> open(const TwinOptions& options, const Device& device);
  ~Twin();
  Twin(const Twin&) = delete;
  Twin& operator=(const Twin&) = delete;

  // A new interface goes with this object until then. Control's, when nothing can fail any more.
  net::Status keep() { return tap_->keep(); }
  void keep_no_more() { tap_->keep_no_more(); }  // undoes it

  const std::string& name() const noexcept { return tap_->name(); }
  bool adopted() const noexcept { return tap_->adopted(); }
  net::Result<net::Mac> mac() const { return tap_->mac(); }
  const PuntRings& punts() const noexcept { return punts_; }
  rte_ring* from_kernel() const noexcept { return from_kernel_.get(); }  // a worker sends what lies here
  bool link_up() const noexcept { return link_up_.load(std::memory_order_relaxed); }
  TwinCounters counters() const;  // asks the kernel too

  void follow_link();     // carrier: as the port's link is now
  bool carry() noexcept;  // some packets each way, if there are any. RETURNS: whether there were
  int fd() const noexcept { return tap_->fd(); }
  bool has_room() const noexcept;  // for packets from the kernel; without, they wait in the TAP's queue

 private:
  static constexpr uint32_t kBurst = host::kTwinBurst;

  Twin(const TwinOptions& options, const Device& device, std::unique_ptr<Tap> tap)
      : options_(options), device_(device), tap_(std::move(tap)) {}
  bool carry_up(rte_ring* from) noexcept;
  bool write(rte_mbuf* frame) noexcept;
  bool carry_down() noexcept;
  rte_mbuf* read() noexcept;

  TwinOptions options_;
  const Device& device_;
  std::unique_ptr<Tap> tap_;
  std::array<Ring, kPuntClasses> up_;
  PuntRings punts_;
  Ring from_kernel_;
  std::array<rte_mbuf*, kBurst> spare_{};  // empty buffers
  uint32_t spares_ = 0;
  std::atomic<bool> link_up_ = false;
  std::atomic<uint64_t> to_kernel_ = 0, to_kernel_lost_ = 0, from_kernel_count_ = 0, from_kernel_lost_ = 0;
};

}  // namespace lb::dpdk
