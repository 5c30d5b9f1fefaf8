// What a packet costs in the XDP program, as a multiple of an empty program that answers XDP_TX: BPF_PROG_TEST_RUN, a
// generator of frames that ends in a tail call (xdp_generator.bpf.c), kinds in turns. scripts/bench --engine xdp runs
// it.
//   xdp_bench [--json] [--rounds N] [--core N]
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"
#include "tests/bench/report.h"
#include "tests/bench/world.h"
#include "tests/bench/xdp_generator.h"
#include "tests/bench/xdp_generator.skel.h"
#include "xdp/flow_log.h"
#include "xdp/keeper.h"
#include "xdp/program.h"
#include "xdp/records.h"

namespace lb::bench {
namespace {

constexpr uint32_t kSlots = 2 * 1024 * 1024, kLines = kSlots / LB_FLOW_ENTRIES;
constexpr uint32_t kWorkers = 2;  // the queue, and the end of the exception path
constexpr uint32_t kMostFlows = 1'000'000;
constexpr uint32_t kPacketsPerSample = 20'000;
constexpr size_t kMany = 1000;                            // records in a log
constexpr auto kProven = std::chrono::milliseconds(300);  // LB_FLOW_PROVEN and a step: from then on established

struct Options {
  bool json = false;
  uint32_t rounds = 41;
  uint32_t core = UINT32_MAX;
};

Options parse(int argc, char** argv) {
  Options o;
  const auto number = [&](int& i) {
    uint32_t value = 0;
    if (++i >= argc) die(fmt::format("{} needs a number", argv[i - 1]));
    const char* end = argv[i] + std::strlen(argv[i]);
    if (std::from_chars(argv[i], end, value).ptr != end) die(fmt::format("'{}' is no number", argv[i]));
    return value;
  };
  for (int i = 1; i < argc; i++) {
    const std::string_view arg = argv[i];
    if (arg == "--json") {
      o.json = true;
    } else if (arg == "--rounds") {
      o.rounds = number(i);
    } else if (arg == "--core") {
      o.core = number(i);
    } else {
      die(fmt::format("unknown option '{}'", arg));
    }
  }
  return o;
}

void pin(uint32_t core) {
  if (core == UINT32_MAX) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) die(fmt::format("cannot run on core {}", core));
}

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

// Runs a program over a frame. RETURNS: nanoseconds a packet, as the kernel tells them.
double run(int program, uint32_t packets) {
  std::vector<uint8_t> frame(LB_BENCH_FRAME, 0), out(256);
  bpf_test_run_opts opts{};
  opts.sz = sizeof opts;
  opts.data_in = frame.data();
  opts.data_size_in = static_cast<uint32_t>(frame.size());
  opts.data_out = out.data();
  opts.data_size_out = static_cast<uint32_t>(out.size());
  opts.repeat = static_cast<int>(packets);
  if (const int failed = bpf_prog_test_run_opts(program, &opts); failed != 0)
    die(fmt::format("BPF_PROG_TEST_RUN: {}", std::strerror(-failed)));
  if (opts.retval != 3) die(fmt::format("the last packet's action was {}, not XDP_TX", opts.retval));
  return opts.duration;
}

class Generator {
 public:
  Generator() : skeleton_(xdp_generator_bpf__open_and_load()) {
    if (skeleton_ == nullptr) die("the generator does not load: as root?");
    const int fd = bpf_map__fd(skeleton_->maps.generator);
    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) die("the generator's map cannot be mapped");
    values_ = static_cast<lb_bench_generator*>(memory);
    values_->random = 0x9e3779b97f4a7c15ull;
  }
  ~Generator() {
    munmap(values_, 4096);
    xdp_generator_bpf__destroy(skeleton_);
  }
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  int program() const { return bpf_program__fd(skeleton_->progs.generate); }
  int answer() const { return bpf_program__fd(skeleton_->progs.answer); }
  int answer_grown() const { return bpf_program__fd(skeleton_->progs.answer_grown); }
  void measure(int program) const {
    const uint32_t zero = 0;
    const auto fd = static_cast<uint32_t>(program);
    if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.measured), &zero, &fd, BPF_ANY) != 0)
      die(fmt::format("the program cannot be called: {}", std::strerror(errno)));
  }
  void random_of(uint32_t flows) {
    values_->order = LB_BENCH_RANDOM;
    values_->flows = flows;
    set_frame(LB_TCP_ACK);
  }
  void sequential_from(uint32_t flow, uint8_t tcp_flags) {
    values_->order = LB_BENCH_SEQUENTIAL;
    values_->next = flow;
    set_frame(tcp_flags);
  }

 private:
  void set_frame(uint8_t tcp_flags) {
    uint8_t* const f = values_->frame;
    std::memset(f, 0, LB_BENCH_FRAME);
    f[5] = 1;  // to 00:00:00:00:00:01
    f[12] = LB_ETH_IPV4 >> 8;
    lb_ipv4 ip = {};
    ip.version_ihl = 0x45;
    ip.total_length = lb_htons(LB_BENCH_FRAME - sizeof(lb_eth));
    ip.ttl = 64;
    ip.proto = LB_PROTO_TCP;
    const lb_be32 to = lb_htonl(kService4);
    std::memcpy(ip.dst, &to, 4);
    ip.csum = lb_csum_ipv4(&ip, sizeof ip);
    std::memcpy(f + sizeof(lb_eth), &ip, sizeof ip);
    lb_tcp tcp = {};
    tcp.dport = lb_htons(80);
    tcp.data_offset = 5 << 4;
    tcp.flags = tcp_flags;
    std::memcpy(f + sizeof(lb_eth) + sizeof(lb_ipv4), &tcp, sizeof tcp);
  }

  xdp_generator_bpf* skeleton_;
  lb_bench_generator* values_ = nullptr;
};

// The program with a table for a million flows, behind the generator.
class Balancer {
 public:
  Balancer(const std::shared_ptr<const model::Snapshot>& snapshot, bool tracks)
      : maps_(must(xdp::Maps::create({.workers = kWorkers,
                                      .flow_lines = tracks ? kWorkers * kLines : 1,
                                      .former_lines = 1,
                                      .table_lines = 65536}))),
        records_(must(xdp::Records::create(maps_))) {
    if (const net::Status done = records_.publish(snapshot); !done) die(done.error().message);
    lb_xdp_port port = {};
    port.mac[5] = 1;
    port.queues = 1;
    port.workers = kWorkers;
    port.lines = tracks ? kLines : 0;
    program_ = must(xdp::Program::load(maps_, port));
  }
  const xdp::Program& program() const { return program_; }
  // As lbd does, meanwhile.
  std::chrono::milliseconds take_records() {
    if (maps_.flows().size() < kLines) return std::chrono::milliseconds(100);
    stages::FlowTable table;
    table.lines = maps_.flows().data();
    table.cold = maps_.flow_records().data();
    table.count = kLines;
    const auto start = std::chrono::steady_clock::now();
    const size_t records = xdp::drain_log(maps_.flow_log().first(LB_XDP_LOG_LINES), table);
    if (records >= kMany) drained_ns_.push_back(since(start) / static_cast<double>(records));
    return xdp::next_drain(records);
  }
  uint64_t logged() const { return maps_.flow_log()[0].ends.head; }
  // What it took lbd to put a record in its place, where there were many. No record is taken any more from now on.
  Spread drained_ns() {
    keeper_.reset();
    return spread_of(drained_ns_);
  }
  uint64_t counter(lb_counter which) const { return maps_.workers()[0].counters[which]; }

 private:
  xdp::Maps maps_;
  xdp::Records records_;
  xdp::Program program_;
  std::vector<double> drained_ns_;  // the keeper's
  std::unique_ptr<xdp::Keeper> keeper_ = std::make_unique<xdp::Keeper>([this] { return take_records(); });
};

struct Kind {
  std::string name, forward;
  uint32_t flows;  // 0: every packet a new one
  const Balancer* balancer;
  double goal;
  std::vector<double> ns = {}, ratio = {};
};

struct Bench {
  Options options;
  Generator generator;
  uint32_t next_new = 1u << 24;  // behind every flow that is made

  // Each flow twice, a quarter of a second apart: established from then on.
  void make_flows(const Balancer& b) {
    generator.measure(b.program().fd());
    for (int pass = 0; pass < 2; pass++) {
      generator.sequential_from(0, LB_TCP_ACK);
      (void)run(generator.program(), kMostFlows);
      std::this_thread::sleep_for(kProven);
    }
    if (b.counter(LB_COUNT_FlowsInserted) < kMostFlows) die("not every flow got an entry");
  }
  double sample(const Kind& k) {
    generator.measure(k.balancer->program().fd());
    if (k.flows != 0) {
      generator.random_of(k.flows);
      return run(generator.program(), kPacketsPerSample);
    }
    generator.sequential_from(next_new, LB_TCP_SYN);
    next_new += kPacketsPerSample;
    return run(generator.program(), kPacketsPerSample);
  }
  double own_cost() {
    generator.random_of(1);
    generator.measure(generator.answer());
    const double plain = run(generator.program(), kPacketsPerSample);
    generator.measure(generator.answer_grown());
    return (plain + run(generator.program(), kPacketsPerSample)) / 2;
  }
  void rounds(std::vector<Kind>& kinds, std::vector<double>& empty, std::vector<double>& own) {
    for (uint32_t round = 0; round < options.rounds; round++) {
      const double tx = run(generator.answer(), 10 * kPacketsPerSample), gen = own_cost();
      empty.push_back(tx);
      own.push_back(gen);
      for (Kind& k : kinds) {
        k.ns.push_back(sample(k) - gen);
        k.ratio.push_back(k.ns.back() / tx);
      }
    }
  }
};

void add_rows(std::vector<Kind>& kinds, Report& report) {
  for (Kind& k : kinds) {
    report.taken += k.ns.size();
    report.rows.push_back({.name = k.name,
                           .forward = k.forward,
                           .services = 1,
                           .flows = k.flows,
                           .slots = k.name == "hash only" ? 0u : kSlots,
                           .ns = spread_of(std::move(k.ns)),
                           .ratio = spread_of(std::move(k.ratio)),
                           .goal = k.goal});
  }
}

int run_bench(const Options& options) {
  const World world = make_world(4, 1);
  Balancer ipip(world.ipip, true);
  const Balancer dsr(world.dsr, true), plain(world.ipip, false);
  pin(options.core);  // not their keepers
  Bench bench{.options = options, .generator = {}};
  bench.make_flows(ipip);
  bench.make_flows(dsr);
  std::vector<Kind> hits = {{"hit", "ipip", 1, &ipip, 2},
                            {"hit", "ipip", 10'000, &ipip, 7.5},
                            {"hit", "ipip", kMostFlows, &ipip, 9},
                            {"hit", "dsr", 1, &dsr, 0},
                            {"hit", "dsr", kMostFlows, &dsr, 0},
                            {"hash only", "ipip", 1, &plain, 0},
                            {"hash only", "ipip", kMostFlows, &plain, 0}};
  std::vector<Kind> fresh = {{"new flow", "ipip", 0, &ipip, 11}};
  std::vector<double> empty, own;
  bench.rounds(hits, empty, own);
  const uint64_t before = ipip.counter(LB_COUNT_FlowsInserted), logged_before = ipip.logged();
  bench.rounds(fresh, empty, own);
  const uint64_t inserted = ipip.counter(LB_COUNT_FlowsInserted) - before, logged = ipip.logged() - logged_before;
  Report report;
  report.taken += empty.size();
  report.rows.push_back({.name = "empty program, XDP_TX", .ns = spread_of(empty), .ratio = {}});
  report.rows.push_back({.name = "generator and tail call, subtracted below", .ns = spread_of(own), .ratio = {}});
  add_rows(hits, report);
  add_rows(fresh, report);
  report.base = "XDP_TX";
  std::fputs((options.json ? json_text(report) : table_text(report)).c_str(), stdout);
  const double fresh_flows = static_cast<double>(options.rounds) * kPacketsPerSample;
  if (!options.json)
    fmt::print(
        "\nverified instructions: {}; of the new flows {:.1f} % got an entry, of {:.1f} % the record went by the log, "
        "from which the keeper took {:.0f} ns each\n",
        ipip.program().verified_instructions(), 100.0 * static_cast<double>(inserted) / fresh_flows,
        100.0 * static_cast<double>(logged) / fresh_flows, ipip.drained_ns().median);
  return 0;
}

}  // namespace
}  // namespace lb::bench

int main(int argc, char** argv) {
  return lb::bench::run_bench(lb::bench::parse(argc, argv));
}
