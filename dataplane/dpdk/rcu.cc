#include "dataplane/dpdk/rcu.h"

#include <cstdlib>
#include <new>
#include <thread>

#include <rte_rcu_qsbr.h>

namespace lb::dpdk {

Readers::Readers(uint32_t count) : count_(count) {
  const size_t bytes = rte_rcu_qsbr_get_memsize(count);
  void* memory = nullptr;
  if (posix_memalign(&memory, RTE_CACHE_LINE_SIZE, bytes) != 0) throw std::bad_alloc();
  qsbr_ = static_cast<rte_rcu_qsbr*>(memory);
  rte_rcu_qsbr_init(qsbr_, count);
  for (uint32_t reader = 0; reader < count; reader++) rte_rcu_qsbr_thread_register(qsbr_, reader);
}

Readers::~Readers() {
  free(qsbr_);
}

void Readers::online(uint32_t reader) noexcept {
  rte_rcu_qsbr_thread_online(qsbr_, reader);
}

void Readers::offline(uint32_t reader) noexcept {
  rte_rcu_qsbr_thread_offline(qsbr_, reader);
}

void Readers::quiescent(uint32_t reader) noexcept {
  rte_rcu_qsbr_quiescent(qsbr_, reader);
}

uint64_t Readers::mark() noexcept {
  return rte_rcu_qsbr_start(qsbr_);
}

bool Readers::passed(uint64_t mark) noexcept {
  return rte_rcu_qsbr_check(qsbr_, mark, false) == 1;
}

std::vector<uint32_t> Readers::late(uint64_t mark) const {
  std::vector<uint32_t> late;
  for (uint32_t reader = 0; reader < count_; reader++) {
    // Acquire: partner of the release store in rte_rcu_qsbr_quiescent().
    const uint64_t seen = __atomic_load_n(&qsbr_->qsbr_cnt[reader].cnt, __ATOMIC_ACQUIRE);
    if (seen != __RTE_QSBR_CNT_THR_OFFLINE && seen < mark) late.push_back(reader);
  }
  return late;
}

bool Readers::wait(uint64_t mark, std::chrono::steady_clock::time_point until) noexcept {
  while (!passed(mark)) {
    if (std::chrono::steady_clock::now() >= until) return false;
    // Workers in idle sleep come back within half a millisecond; a busy one within microseconds.
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  return true;
}

}  // namespace lb::dpdk
