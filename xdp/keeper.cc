#include "xdp/keeper.h"

#include <utility>

namespace lb::xdp {

Keeper::Keeper(std::function<void()> beat)
    : beat_(std::move(beat)), thread_([this] {
        std::unique_lock lock(mutex_);
        while (!stop_) {
          beat_();
          wake_.wait_for(lock, kBeat, [this] { return stop_; });
        }
      }) {}

Keeper::~Keeper() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

}  // namespace lb::xdp
