// What a packet costs from the receive queue to the send queue, as a ratio to a MAC swap on the same queues. To be run
// by scripts/bench, which reserves huge pages.
//   packet_bench [--json] [--quick] [--stages] [--core N] [--macswap SECONDS]
//   packet_bench --count io|generator|macswap|forward|new [--tsc]
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "dataplane/dpdk/buffers.h"
#include "dataplane/dpdk/device.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/flows/flow_clock.h"
#include "tests/bench/phases.h"

namespace lb::bench {
namespace {

constexpr uint32_t kBuffers = 4096;
constexpr uint32_t kQuickRounds = 80, kRounds = 250;
constexpr uint32_t kCountedBatches = 200, kCountedFlows = 1000, kCountedTable = 8192;
constexpr uint32_t kClockedBatches = 501;

struct Options {
  bool json = false, quick = false, stages = false, tsc = false;
  uint32_t core = UINT32_MAX;  // the last one that there is
  uint32_t macswap_seconds = 0;
  std::string count;
};

uint32_t number(const char* text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  if (error != std::errc() || *end != '\0') die(fmt::format("'{}' is no number", text));
  return value;
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i++) {
    const std::string_view arg = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : (die(fmt::format("{} needs a value", arg)), nullptr); };
    if (arg == "--json") {
      o.json = true;
    } else if (arg == "--quick") {
      o.quick = true;
    } else if (arg == "--stages") {
      o.stages = true;
    } else if (arg == "--tsc") {
      o.tsc = true;
    } else if (arg == "--core") {
      o.core = number(value());
    } else if (arg == "--macswap") {
      o.macswap_seconds = number(value());
    } else if (arg == "--count") {
      o.count = value();
    } else {
      die(fmt::format("unknown option '{}'", arg));
    }
  }
  return o;
}

void pin(uint32_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) die(fmt::format("cannot run on core {}", core));
}

// The daemon's own start, buffers and device, on net_null.
class Machine {
 public:
  explicit Machine(const Options& o)
      : eal_(must(dpdk::Eal::init({.workers = {},
                                   .huge_pages = o.count.empty() ? model::HugePages::kAuto : model::HugePages::kOff,
                                   .memory_mb = 64,
                                   .log = [](std::string_view) {}}))),
        buffers_(must(dpdk::Buffers::create("bench", kBuffers, dpdk::kBufferRoom))),
        device_(must(dpdk::Device::open({.name = "net_null0",
                                         .arguments = fmt::format("size={}", kFrame),
                                         .workers = 1,
                                         .pool = buffers_.pool(),
                                         .rss_key = {}},
                                        *eal_))) {
    const std::vector<uint32_t> cores = dpdk::allowed_cores();
    pin(o.core == UINT32_MAX ? cores.back() : o.core);
  }
  Port port() const { return {device_->id()}; }
  bool huge_pages() const { return eal_->huge_pages(); }

 private:
  std::unique_ptr<dpdk::Eal> eal_;
  dpdk::Buffers buffers_;
  std::unique_ptr<dpdk::Device> device_;
};

double cpu_ns() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// CPU time a packet of our MAC swap without a generator: the same as testpmd's, and told in the same way.
void print_macswap(Port port, uint32_t seconds) {
  MacSwap work(port, nullptr);
  constexpr uint32_t kBatches = 100'000;
  const double start = cpu_ns();
  double packets = 0, now = start;
  for (; now - start < seconds * 1e9; now = cpu_ns()) {
    for (uint32_t n = 0; n < kBatches; n++) work.batch();
    packets += double{kBatches} * stages::kBatch;
  }
  std::printf("%.2f\n", (now - start) / packets);
}

// For callgrind, which counts what happens in here.
[[gnu::noinline]] void counted_batches(Work& work) {
  for (uint32_t n = 0; n < kCountedBatches; n++) work.batch();
}

// What the time stamp counter says of a packet: instructions, on an emulated CPU that counts them with it. The median
// of batches, for an interrupt falls into one of a hundred.
void print_tsc(Work& work) {
  std::vector<uint64_t> batches(kClockedBatches);
  for (uint64_t& batch : batches) {
    const uint64_t start = __rdtsc();
    work.batch();
    batch = __rdtsc() - start;
  }
  std::sort(batches.begin(), batches.end());
  std::printf("%.2f\n", static_cast<double>(batches[batches.size() / 2]) / stages::kBatch);
}

// Prints the packets; or, with `tsc`, what the time stamp counter says of a packet.
void count_instructions(Port port, const std::string& kind, bool tsc) {
  const World world = make_world(4, 1);
  const TrafficOptions o{.flows = kCountedFlows};
  Traffic traffic(o);
  std::unique_ptr<Table> table;
  std::unique_ptr<Work> work;
  if (kind == "io") {
    work = std::make_unique<Io>(port, nullptr);
  } else if (kind == "generator") {
    work = std::make_unique<Io>(port, &traffic);
  } else if (kind == "macswap") {
    work = std::make_unique<MacSwap>(port, &traffic);
  } else if (kind == "new") {
    table = std::make_unique<Table>(kCountedTable);
    make_flows(port, world, *table, 3 * kCountedTable);
    const TrafficOptions strangers{.flows = 0, .first = 0x20000000u, .syn = true};
    auto forward = std::make_unique<Forward>(port, strangers, *world.ipip, &table->get());
    forward->freeze(flows::flow_clock_ms());
    work = std::move(forward);
  } else if (kind == "forward") {
    table = std::make_unique<Table>(kCountedTable);
    make_flows(port, world, *table, kCountedFlows);
    auto forward = std::make_unique<Forward>(port, o, *world.ipip, &table->get());
    forward->freeze(flows::flow_clock_ms());
    work = std::move(forward);
  } else {
    die(fmt::format("--count counts io, generator, macswap, forward or new, not '{}'", kind));
  }
  counted_batches(*work);
  if (tsc) return print_tsc(*work);
  std::printf("%u\n", kCountedBatches * stages::kBatch);
}

void measure(Port port, const Options& o, Report& report) {
  const PhaseOptions phase{.rounds = o.quick ? kQuickRounds : kRounds, .stages = o.stages};
  for (const uint8_t family : {uint8_t{4}, uint8_t{6}}) {
    for (const uint32_t services : {1u, 1000u}) {
      if (o.quick && (family != 4 || services != 1)) continue;
      const World world = make_world(family, services);
      measure_million(port, world, phase, report);
      measure_ten_millions(port, world, phase, report);
    }
  }
}

int run(const Options& o) {
  const Machine machine(o);
  if (o.macswap_seconds != 0) return print_macswap(machine.port(), o.macswap_seconds), 0;
  if (!o.count.empty()) return count_instructions(machine.port(), o.count, o.tsc), 0;
  Report report;
  report.pages = machine.huge_pages() ? "2 MB pages" : "4 KB pages";
  measure(machine.port(), o, report);
  const std::string text = o.json ? json_text(report) : table_text(report);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace
}  // namespace lb::bench

int main(int argc, char** argv) {
  return lb::bench::run(lb::bench::parse(argc, argv));
}
