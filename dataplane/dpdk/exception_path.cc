#include "dataplane/dpdk/exception_path.h"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "dataplane/dpdk/twin.h"

namespace lb::dpdk {
namespace {

using Clock = std::chrono::steady_clock;

constexpr long kFirstSleep = 50'000;         // ns; doubled while nothing comes
constexpr long kLongestSleep = 3'000'000;    // ns; what the first packet of an idle time may wait
constexpr unsigned kMaxDoublings = 6;        // to the longest sleep
constexpr unsigned long kTimerSlack = 5000;  // ns; the default of 50 µs would be a whole first sleep
constexpr std::chrono::milliseconds kLinkPeriod{100};

}  // namespace

ExceptionPath::ExceptionPath(std::vector<Twin*> twins) : twins_(std::move(twins)), thread_([this] { run(); }) {}

ExceptionPath::~ExceptionPath() {
  stop_.store(true, std::memory_order_relaxed);
  thread_.join();
}

void ExceptionPath::run() {
  prctl(PR_SET_NAME, "lbd-exception");
  prctl(PR_SET_TIMERSLACK, kTimerSlack);
  Clock::time_point next_link = Clock::now();
  unsigned idle_rounds = 0;
  bool woken = false;
  while (!stop_.load(std::memory_order_relaxed)) {
    bool any = false;
    for (Twin* twin : twins_) any |= twin->carry();
    if (const auto now = Clock::now(); now >= next_link) {
      for (Twin* twin : twins_) twin->follow_link();
      next_link = now + kLinkPeriod;
    }
    idle_rounds = any ? 0 : idle_rounds + 1;
    woken = !any && rest(idle_rounds, woken);
  }
}

// in_vain: what woke us could not be read: there is no buffer for it, or its interface was removed. A twin whose ring
// to the worker is full would only wake us again, too. RETURNS: whether the kernel woke us.
bool ExceptionPath::rest(unsigned idle_rounds, bool in_vain) const {
  std::vector<pollfd> waiting;
  for (const Twin* twin : twins_)
    if (twin->has_room() && !in_vain) waiting.push_back({twin->fd(), POLLIN, 0});
  const long ns = std::min(kFirstSleep << std::min(idle_rounds - 1, kMaxDoublings), kLongestSleep);
  const timespec time = {0, ns};
  return ppoll(waiting.data(), waiting.size(), &time, nullptr) > 0;
}

}  // namespace lb::dpdk
