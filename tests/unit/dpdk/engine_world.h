// An engine with ports wan and lan over rings: frames in, frames out, counters.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <numeric>
#include <string>
#include <thread>

#include "dataplane/dpdk/dpdk_engine.h"
#include "tests/packet/builder.h"
#include "tests/unit/dpdk/ring_port.h"
#include "tests/unit/dpdk/small_world.h"

namespace lb::dpdk::testing {

class NoFilters : public model::OwnedFilterFactory {
 public:
  net::Result<std::unique_ptr<model::OwnedFilter>> attach_xdp(const std::string&) override { return none(); }
  net::Result<std::unique_ptr<model::OwnedFilter>> attach_tc(const std::string&) override { return none(); }

 private:
  static net::Error none() { return {net::Code::kUnsupported, "no kernel interface here"}; }
};

// Waits for an event of another thread.
inline bool eventually(const std::function<bool()>& happened, std::chrono::seconds within = std::chrono::seconds(10)) {
  const auto until = std::chrono::steady_clock::now() + within;
  while (!happened()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

// What became of packets: one verdict each. Handed from worker to worker is none, nor is held.
inline uint64_t verdicts(const model::CounterArray& c) {
  return std::accumulate(c.begin() + LB_DROP_FIRST, c.begin() + LB_DROP_LAST + 1,
                         c[LB_COUNT_Forwarded] + c[LB_COUNT_Answered] + c[LB_COUNT_Punted]);
}

// Ports with the MAC of tests/packet on wan, 02:00:00:00:00:02 on lan.
class EngineWorld : public ::testing::Test {
 protected:
  EngineWorld() : eal_(test_eal()), buffers_(must(Buffers::create(pool_name(), 2047, kBufferRoom))) {}

  void start(uint16_t workers) { start(workers, workers, workers); }
  // Queues of both ports.
  void start(uint16_t workers, uint16_t rx_queues, uint16_t tx_queues, TwinsFor twins = TwinsFor::kNics) {
    wan_ = std::make_unique<RingPort>("wan", rx_queues, tx_queues, must(net::Mac::parse(packet::kPortMac)));
    lan_ = std::make_unique<RingPort>("lan", rx_queues, tx_queues, must(net::Mac::parse("02:00:00:00:00:02")));
    model::Daemon daemon;
    for (uint32_t w = 0; w < workers; w++) daemon.workers.push_back(w);
    daemon.ports = {{.name = "wan", .device = wan_->device(), .mtu = {}},
                    {.name = "lan", .device = lan_->device(), .mtu = {}}};
    engine_ = must(DpdkEngine::start(
        daemon, eal_, filters_, [this](std::string_view l) { log_ += l; }, {}, twins));
  }
  void publish(bool empty = false) {
    const auto report = must(engine_->publish(small_snapshot(++generation_, empty)));
    EXPECT_EQ(net::raw(report.generation), generation_);
    EXPECT_TRUE(report.late.empty());
  }
  model::CounterArray total() {
    model::CounterArray sum{};
    for (const model::WorkerCounters& w : engine_->workers())
      for (size_t i = 0; i < sum.size(); i++) sum[i] += w.counters[i];
    return sum;
  }
  bool received(uint64_t packets) {
    return eventually([&] {
      const auto c = total();
      return c[LB_COUNT_RxPackets] == packets && verdicts(c) + c[LB_COUNT_Held] == packets;
    });
  }
  uint64_t drain() {
    uint64_t taken = 0;
    for (RingPort* port : {wan_.get(), lan_.get()})
      for (uint16_t q = 0; q < port->tx_queues(); q++)
        while (port->take(q)) taken++;
    return taken;
  }
  static std::string pool_name() {
    static int number = 0;
    return "engine_test" + std::to_string(number++);
  }

  Eal& eal_;
  NoFilters filters_;
  Buffers buffers_;
  std::string log_;
  uint64_t generation_ = 0;
  std::unique_ptr<RingPort> wan_, lan_;
  std::unique_ptr<DpdkEngine> engine_;
};

}  // namespace lb::dpdk::testing
