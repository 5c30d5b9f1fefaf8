#include "xdp/keeper.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace lb::xdp {

// Signals are the control thread's.
Keeper::Keeper(std::function<std::chrono::milliseconds()> turn) : turn_(std::move(turn)) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "lbd-keeper");
}

void Keeper::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const std::chrono::milliseconds pause = turn_();
    wake_.wait_for(lock, pause, [this] { return stop_; });
  }
}

Keeper::~Keeper() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

}  // namespace lb::xdp
