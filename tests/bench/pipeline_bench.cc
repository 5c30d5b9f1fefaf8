// What a packet costs, stage by stage: plain clock around each stage over batches of 64, the median of many rounds.
//   pipeline_bench [flows] [services]      default 10000 flows, 1 service; IPv4 SYNs of 54 bytes, 4in4
// Frames are hot in the cache, so that this is the work of the stages, not of a NIC's memory.
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/choose.h"
#include "dataplane/stages/count.h"
#include "dataplane/stages/hash.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/next_hop.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/recognise.h"
#include "dataplane/stages/rewrite.h"
#include "tests/packet/builder.h"

namespace {

using namespace lb;  // a program, not a header
using stages::Batch;
using stages::kBatch;

constexpr size_t kRounds = 20'000;
constexpr size_t kRoom = 128, kFrame = 192;

std::string machine() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown CPU";
}

template <class T>
T must(net::Result<T> r) {
  if (r) return std::move(r).value();
  std::fprintf(stderr, "pipeline_bench: %s\n", r.error().message.c_str());
  std::exit(1);
}

std::string vip(size_t service) {
  return "192.0." + std::to_string(service / 250 % 250) + "." + std::to_string(1 + service % 250);
}

std::shared_ptr<const model::Snapshot> snapshot_of(size_t services) {
  model::Config config;
  model::Topology topology;
  model::Pool& pool = config.pools["p"];
  pool.name = "p";
  for (int i = 1; i <= 100; i++) {
    const auto address = must(net::Address::parse("10.0.0." + std::to_string(i)));
    pool.backends.push_back({.name = "b" + std::to_string(i), .address = address, .weight = 100, .labels = {}});
    model::Reach& reach = topology.reach[address];
    reach.resolved = reach.on_link = true;
    reach.next_hop = address;
    reach.source = must(net::Address::parse("10.0.0.254"));
    reach.mtu = 1500;
  }
  for (size_t s = 0; s < services; s++) {
    model::Service& service = config.services["s" + std::to_string(s)];
    service.name = "s" + std::to_string(s);
    service.pool = "p";
    service.listen = {must(net::Listener::parse(vip(s) + ":80/tcp"))};
  }
  model::canonicalize(config);
  model::IdTable ids;
  if (!ids.assign(config)) std::exit(1);
  return must(model::Compiler({1, 2}).compile(config, topology, ids, net::Generation{1}));
}

class Bench {
 public:
  Bench(size_t flows, size_t services) : snapshot_(snapshot_of(services)) {
    for (size_t i = 0; i < flows; i++) {
      const std::string src = "198.51." + std::to_string(i / 250 % 250) + "." + std::to_string(1 + i % 250);
      frames_.push_back(
          packet::eth().ip4(src, vip(i % services)).tcp(static_cast<uint16_t>(1024 + i / 62500), 80).bytes());
    }
    const packet::Bytes mac = packet::mac_bytes(packet::kPortMac);
    std::copy(mac.begin(), mac.end(), batch_->port_mac.begin());
  }

  void run() {
    for (size_t round = 0; round < kRounds; round++) {
      fill(round);
      stages::Batch& b = *batch_;
      uint64_t t[kStages + 1] = {__rdtsc()};
      stages::recognise(b, *snapshot_);
      stages::parse(b, *snapshot_);
      t[1] = __rdtsc();
      stages::find_listener(b, *snapshot_);
      t[2] = __rdtsc();
      stages::hash_flows(b, *snapshot_);
      t[3] = __rdtsc();
      stages::choose(b, *snapshot_);
      t[4] = __rdtsc();
      stages::rewrite(b, *snapshot_);
      t[5] = __rdtsc();
      stages::set_next_hop(b, *snapshot_);
      t[6] = __rdtsc();
      stages::count(b, kBatch, kBatch * 54, worker_);
      t[7] = __rdtsc();
      for (size_t s = 0; s < kStages; s++) cycles_[s].push_back(t[s + 1] - t[s]);
    }
    if (worker_.counters[LB_COUNT_Forwarded] != kRounds * kBatch) {
      std::fprintf(stderr, "pipeline_bench: not every packet was forwarded\n");
      std::exit(1);
    }
  }

  void print(double cycles_per_ns) {
    constexpr const char* kNames[kStages] = {"parse", "listener", "hash", "choose", "rewrite", "next_hop", "count"};
    double all = 0;
    std::printf("%-10s %10s %10s\n", "stage", "cycles", "ns/packet");
    for (size_t s = 0; s < kStages; s++) {
      auto middle = cycles_[s].begin() + static_cast<ptrdiff_t>(cycles_[s].size() / 2);
      std::nth_element(cycles_[s].begin(), middle, cycles_[s].end());
      const double cycles = static_cast<double>(*middle) / kBatch;
      all += cycles;
      std::printf("%-10s %10.1f %10.1f\n", kNames[s], cycles, cycles / cycles_per_ns);
    }
    std::printf("%-10s %10.1f %10.1f\n", "all", all, all / cycles_per_ns);
  }

 private:
  static constexpr size_t kStages = 7;

  void fill(size_t round) {
    for (uint32_t i = 0; i < kBatch; i++) {
      const packet::Bytes& f = frames_[(round * kBatch + i) * 2654435761u % frames_.size()];
      uint8_t* at = &buffers_[i * (kRoom + kFrame) + kRoom];
      std::copy(f.begin(), f.end(), at);
      batch_->data[i] = at;
      batch_->length[i] = static_cast<uint16_t>(f.size());
      batch_->headroom[i] = kRoom;
    }
    batch_->start(kBatch);
  }

  std::shared_ptr<const model::Snapshot> snapshot_;
  std::vector<packet::Bytes> frames_;
  std::vector<uint8_t> buffers_ = std::vector<uint8_t>(kBatch * (kRoom + kFrame));
  std::unique_ptr<Batch> batch_ = std::make_unique<Batch>();
  stages::WorkerState worker_;
  std::vector<uint64_t> cycles_[kStages];
};

}  // namespace

int main(int argc, char** argv) {
  const size_t flows = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000;
  const size_t services = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1;
  if (flows == 0 || services == 0 || services > 60'000) {
    std::fprintf(stderr, "usage: pipeline_bench [flows] [services, at most 60000]\n");
    return 2;
  }
  Bench bench(flows, services);
  const auto start = std::chrono::steady_clock::now();
  const uint64_t tsc = __rdtsc();
  bench.run();
  const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  const double cycles_per_ns = static_cast<double>(__rdtsc() - tsc) / ns;
  std::printf("%s, %.2f GHz time stamp counter, %zu flows, %zu services, batches of %u\n", machine().c_str(),
              cycles_per_ns, flows, services, kBatch);
  bench.print(cycles_per_ns);
  return 0;
}
