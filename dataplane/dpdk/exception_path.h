// The exception path's thread: carries packets between the workers' rings and the twins of all ports, and lets the
// twins' carriers follow the ports' links. It runs where control runs, never on a worker's core while there is another.
// Idle, it sleeps until the kernel sends something, and looks after the workers every few milliseconds.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

namespace lb::dpdk {

class Twin;

class ExceptionPath {
 public:
  // twins: at least one; they outlive it.
  explicit ExceptionPath(std::vector<Twin*> twins);
  ~ExceptionPath();  // ends the thread; what lies in the rings stays there
  ExceptionPath(const ExceptionPath&) = delete;
  ExceptionPath& operator=(const ExceptionPath&) = delete;

 private:
  void run();
  bool rest(unsigned idle_rounds, bool in_vain) const;

  std::vector<Twin*> twins_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace lb::dpdk
