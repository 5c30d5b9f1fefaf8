// What dispatch in software costs: two workers that have a receive queue each, against two that share one queue, of
// which one hands the other's half over by a ring, and one that is alone. Packets come from pcap files that the driver
// repeats without end and go to net_null. The ways run in turns, samples are short, one in which a worker was preempted
// or started late is thrown away (as root the threads run before all others while a sample lasts), and ratios are those
// of neighbours in time.
//   dispatch_bench [rounds]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <rte_launch.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dataplane/dpdk/buffers.h"
#include "dataplane/dpdk/device.h"
#include "dataplane/dpdk/dispatch_rings.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/worker.h"
#include "tests/packet/builder.h"
#include "tests/unit/dpdk/small_world.h"

namespace {

using namespace lb::dpdk;
using lb::dpdk::testing::must;

constexpr uint32_t kWorkers = 2;
constexpr uint16_t kFlows = 512;  // of each file
constexpr std::chrono::milliseconds kSample{3};
constexpr std::chrono::microseconds kApart{100};  // that workers may start one after the other
constexpr int kTries = 100;                       // for a sample in which both workers ran all the time
constexpr SpreadKey kKey = {0x0123456789abcdef, 0xfedcba9876543210, 0x5555aaaa3333cccc, 0x9e3779b97f4a7c15};

void put32(std::ofstream& file, uint32_t value) {
  file.write(reinterpret_cast<const char*>(&value), sizeof(value));
}

// The format of libpcap's files, version 2.4.
void write_pcap(const std::string& path, uint16_t first_port, uint16_t flows) {
  std::ofstream file(path, std::ios::binary);
  for (const uint32_t word : {0xa1b2c3d4u, 4u << 16 | 2u, 0u, 0u, 65535u, 1u}) put32(file, word);
  for (uint16_t f = 0; f < flows; f++) {
    lb::packet::Bytes frame =
        lb::packet::eth().ip4("198.51.100.7", "192.0.2.10").tcp(static_cast<uint16_t>(first_port + f), 80).bytes();
    frame.resize(60);  // and four bytes of checksum: the smallest frame
    for (const uint32_t word : {0u, 0u, 60u, 60u}) put32(file, word);
    file.write(reinterpret_cast<const char*>(frame.data()), static_cast<std::streamsize>(frame.size()));
  }
}

struct Sample {
  double packets_per_second = 0;
  bool preempted = false;
  double lost = 0;    // share of what came in that found the ring full
  double second = 0;  // share of what was forwarded that the second worker forwarded
};

using Clock = std::chrono::steady_clock;

// A worker and what the kernel did to its thread.
struct Run {
  std::unique_ptr<Worker> worker;
  Clock::time_point begin, end;
  bool preempted = false;
};

long times_preempted() {
  rusage usage = {};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

// Before all others on its core, when that is permitted; samples are too short to disturb them.
void run_first(int priority) {
  sched_param param = {};
  param.sched_priority = priority;
  (void)pthread_setschedparam(pthread_self(), priority == 0 ? SCHED_OTHER : SCHED_FIFO, &param);
}

int run_worker(void* argument) {
  auto& run = *static_cast<Run*>(argument);
  run_first(1);
  const long before = times_preempted();
  run.begin = Clock::now();
  run.worker->run();
  run.end = Clock::now();
  run.preempted = times_preempted() > before + 1;  // once for a moment, by the thread that stops it
  run_first(0);
  return 0;
}

class Way {
 public:
  Way(const std::string& name, const std::string& files, uint16_t queues, uint32_t workers, Eal& eal)
      : workers_(workers),
        buffers_(must(Buffers::create(name, 16383, kBufferRoom))),
        in_(open("net_pcap_" + name, files + ",infinite_rx=1", queues, eal)),
        out_(open("net_null_" + name, "", static_cast<uint16_t>(workers), eal)) {
    std::vector<RxQueue> rx;
    for (uint16_t q = 0; q < queues; q++)
      rx.push_back({.device = in_->id(), .queue = q, .mac = must(lb::net::Mac::parse(lb::packet::kPortMac)).bytes});
    dispatch_ = must(DispatchRings::make(rx, tx(*in_, 1), workers, queues < workers, kKey));
    egress_ = must(DispatchRings::make(rx, tx(*out_, out_->tx_queues()), workers, false, kKey));
  }

  Sample run(const std::shared_ptr<const lb::model::Snapshot>& snapshot) {
    for (int i = 1; i < kTries; i++)
      if (const Sample sample = try_once(snapshot); !sample.preempted) return sample;
    return try_once(snapshot);
  }

 private:
  Sample try_once(const std::shared_ptr<const lb::model::Snapshot>& snapshot) {
    Readers readers(workers_);
    const Published<lb::model::Snapshot> published(readers, snapshot);
    std::vector<Run> runs(workers_);
    for (uint32_t w = 0; w < workers_; w++) {
      WorkerOptions options;
      options.number = w;
      options.rx = dispatch_->rx_of(w);
      options.tx = {egress_->tx_of(w), egress_->tx_of(w)};  // port 1 is where the backends are
      options.idle = lb::model::Idle::kPoll;
      runs[w].worker = std::make_unique<Worker>(std::move(options), readers, published);
    }
    run_first(2);  // it ends the sample
    for (uint32_t w = 0; w < workers_; w++) rte_eal_remote_launch(run_worker, &runs[w], Eal::lcore_of(w));
    std::this_thread::sleep_for(kSample);
    for (const Run& run : runs) run.worker->stop();
    run_first(0);  // DPDK waits in a loop, perhaps on a worker's core
    for (uint32_t w = 0; w < workers_; w++) rte_eal_wait_lcore(Eal::lcore_of(w));
    return summary(runs);
  }
  static Sample summary(const std::vector<Run>& runs) {
    double forwarded = 0, received = 0, full = 0;
    Sample sample;
    for (const Run& run : runs) {
      const auto& counters = run.worker->state().counters;
      forwarded += static_cast<double>(counters[LB_COUNT_Forwarded]);
      received += static_cast<double>(counters[LB_COUNT_RxPackets]);
      full += static_cast<double>(counters[LB_COUNT_HandoffFull]);
      sample.preempted |= run.preempted || run.begin - runs[0].begin > kApart || runs[0].begin - run.begin > kApart;
    }
    const std::chrono::duration<double> took = runs.back().end - runs.front().begin;
    const auto last = static_cast<double>(runs.back().worker->state().counters[LB_COUNT_Forwarded]);
    sample.packets_per_second = forwarded / took.count();
    sample.lost = full / std::max(received, 1.0);
    sample.second = last / std::max(forwarded, 1.0);
    return sample;
  }
  std::unique_ptr<Device> open(const std::string& name, const std::string& arguments, uint16_t queues, Eal& eal) {
    return must(Device::open({.name = name, .arguments = arguments, .workers = queues, .pool = buffers_.pool()}, eal));
  }
  static std::vector<TxQueue> tx(const Device& device, uint16_t queues) {
    std::vector<TxQueue> list;
    for (uint16_t q = 0; q < queues; q++) list.push_back({device.id(), q, 2000, nullptr});
    return list;
  }

  uint32_t workers_;
  Buffers buffers_;
  std::unique_ptr<Device> in_, out_;
  std::optional<DispatchRings> dispatch_, egress_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int measure(int rounds, const std::string& folder) {
  const std::vector<uint32_t> cores = allowed_cores();
  if (cores.size() < kWorkers) {
    std::fprintf(stderr, "dispatch_bench needs two cores\n");
    return 1;
  }
  const auto eal = must(Eal::init({.workers = {cores[0], cores[1]},
                                   .huge_pages = lb::model::HugePages::kOff,
                                   .memory_mb = 400,
                                   .log = [](std::string_view line) {
                                     std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
                                   }}));
  const std::string all = folder + "/all.pcap", low = folder + "/low.pcap", high = folder + "/high.pcap";
  write_pcap(all, 1024, 2 * kFlows);
  write_pcap(low, 1024, kFlows);
  write_pcap(high, 1024 + kFlows, kFlows);
  const auto snapshot = lb::dpdk::testing::small_snapshot(1);
  Way own("own", "rx_pcap=" + low + ",rx_pcap=" + high, kWorkers, kWorkers, *eal);
  Way shared("shared", "rx_pcap=" + all, 1, kWorkers, *eal);
  Way alone("alone", "rx_pcap=" + all, 1, 1, *eal);
  std::vector<double> with_own, with_shared, with_one, to_own, to_one, lost, second;
  int preempted = 0;
  for (int i = 0; i < rounds; i++) {
    const Sample a = own.run(snapshot), b = shared.run(snapshot), c = alone.run(snapshot);
    preempted += a.preempted || b.preempted || c.preempted;
    with_own.push_back(a.packets_per_second / 1e6);
    with_shared.push_back(b.packets_per_second / 1e6);
    with_one.push_back(c.packets_per_second / 1e6);
    to_own.push_back(b.packets_per_second / a.packets_per_second);
    to_one.push_back(b.packets_per_second / c.packets_per_second);
    lost.push_back(b.lost * 100);
    second.push_back(b.second * 100);
  }
  std::printf("%d flows, 64-byte frames, ipip, no flow table; medians of %d rounds, %d of them with preemption\n",
              2 * kFlows, rounds, preempted);
  std::printf("two workers, a queue each      %6.2f M packets/s\n", median(with_own));
  std::printf(
      "two workers, one queue, rings  %6.2f M packets/s: %.2f of a queue each (%.2f to %.2f), %.2f of one worker\n",
      median(with_shared), median(to_own), *std::min_element(to_own.begin(), to_own.end()),
      *std::max_element(to_own.begin(), to_own.end()), median(to_one));
  std::printf("                               %.0f %% by the second worker; %.1f %% found its ring full\n",
              median(second), median(lost));
  std::printf("one worker, one queue          %6.2f M packets/s\n", median(with_one));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 20;
  const std::string folder = std::filesystem::temp_directory_path() / ("dispatch_bench-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const int status = measure(rounds, folder);
  std::filesystem::remove_all(folder);
  return status;
}
