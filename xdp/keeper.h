// A thread that does one thing every 100 ms: it shows the programs that lbd lives, and ages the flow tables, which
// nobody else does for the queues' tables.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace lb::xdp {

inline constexpr std::chrono::milliseconds kBeat{100};

class Keeper {
 public:
  explicit Keeper(std::function<void()> beat);
  ~Keeper();  // after the beat that goes on now
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

 private:
  void run();

  std::function<void()> beat_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lb::xdp
