// Published<T>: one writer, many readers, one pointer. The control thread builds a T aside and swaps the pointer; each
// worker reads it once per loop and tells when it holds no reference (a quiescent state). What was replaced is freed
// after every online worker has passed one, by the control thread; a worker that does not come back keeps the old T
// alive and is named. Over rte_rcu_qsbr: no locks, no system calls, one load and at most one store a loop per worker.
//
// Threads: Readers::online, offline, quiescent and Published::read belong to the reader of that number; everything else
// to the control thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

struct rte_rcu_qsbr;

namespace lb::dpdk {

// The workers, seen by publication. Needs no EAL.
class Readers {
 public:
  explicit Readers(uint32_t count);  // numbers 0..count-1, all offline; no memory: aborts
  ~Readers();
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  void online(uint32_t reader) noexcept;     // before its first read()
  void offline(uint32_t reader) noexcept;    // holds nothing, and is not waited for
  void quiescent(uint32_t reader) noexcept;  // holds nothing that it read before

  uint32_t count() const noexcept { return count_; }
  // A point in time: what was replaced before it is free once all readers passed it.
  uint64_t mark() noexcept;
  bool passed(uint64_t mark) noexcept;              // all online readers have
  std::vector<uint32_t> late(uint64_t mark) const;  // online readers that have not
  bool wait(uint64_t mark, std::chrono::steady_clock::time_point until) noexcept;

 private:
  uint32_t count_;
  rte_rcu_qsbr* qsbr_;
};

template <class T>
class Published {
 public:
  // REQUIRES: first is not null; readers outlives it; no reader is online.
  Published(Readers& readers, std::shared_ptr<const T> first)
      : readers_(readers), owner_(std::move(first)), current_(owner_.get()) {}

  // Valid until the reader's next quiescent() or offline(). Acquire: partner of the store in publish().
  const T* read() const noexcept { return current_.load(std::memory_order_acquire); }

  // RETURNS: the readers that still may use an older T when the deadline was over; it lives on until they passed.
  // REQUIRES: next is not null.
  std::vector<uint32_t> publish(std::shared_ptr<const T> next, std::chrono::nanoseconds deadline) {
    const auto until = std::chrono::steady_clock::now() + deadline;
    current_.store(next.get(), std::memory_order_release);  // partner: the load in read()
    std::swap(owner_, next);
    const uint64_t mark = readers_.mark();
    retired_.push_back({mark, std::move(next)});
    readers_.wait(mark, until);
    reclaim();
    return readers_.late(mark);
  }

  // Frees what late readers have given back meanwhile. RETURNS: how many older Ts are still kept.
  size_t reclaim() {
    std::erase_if(retired_, [this](const Retired& r) { return readers_.passed(r.mark); });
    return retired_.size();
  }

  const std::shared_ptr<const T>& current() const noexcept { return owner_; }

 private:
  struct Retired {
    uint64_t mark;
    std::shared_ptr<const T> value;
  };
  Readers& readers_;
  std::shared_ptr<const T> owner_;  // control only
  std::atomic<const T*> current_;   // control writes, workers read
  std::vector<Retired> retired_;    // control only; oldest first
};

}  // namespace lb::dpdk
