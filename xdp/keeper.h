// A thread that does one thing again and again, each time after as long as the thing itself says: it shows the programs
// that lbd lives, ages the flow tables, and takes new flows' records from the programs' logs.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace lb::xdp {

class Keeper {
 public:
  // turn: returns after how long it wants to be called again.
  explicit Keeper(std::function<std::chrono::milliseconds()> turn);
  ~Keeper();  // after the turn that goes on now
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

 private:
  void run();

  std::function<std::chrono::milliseconds()> turn_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lb::xdp
