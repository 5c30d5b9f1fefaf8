#include "tests/bench/phases.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "tests/bench/samples.h"

namespace lb::bench {
namespace {

constexpr double kSampleMs = 0.8;
constexpr uint32_t kMillion = 1'048'576, kTenMillions = 10'000'000, kSixteenMillionSlots = 8'388'608;
constexpr uint32_t kFill = 2 * kMillion + kMillion;  // flows offered until no entry is free
constexpr std::chrono::milliseconds kProven{300};    // longer than a flow is `once`
constexpr size_t kStageBatches = 3000;
constexpr size_t kLeastSamples = 25;  // of each kind
constexpr uint32_t kPatience = 4;     // times the rounds asked for

struct Kind {
  Row row;
  std::unique_ptr<Work> work;
  uint32_t batches = 0;
  std::vector<std::optional<double>> ns = {};
};

// One sample of every kind in turn. The first four are what the others are compared with.
class Phase {
 public:
  Phase(Port port, const World& world, const Table& table) : world_(world), port_(port), table_(table) {
    const TrafficOptions o{.family = world.family, .services = world.services, .flows = kMillion};
    traffic_ = std::make_unique<Traffic>(o);
    add({.name = "io"}, std::make_unique<Io>(port, nullptr));
    add({.name = "io and generator"}, std::make_unique<Io>(port, traffic_.get()));
    add({.name = "macswap"}, std::make_unique<MacSwap>(port, traffic_.get()));
    add({.name = "random read", .slots = table.slots()}, std::make_unique<RandomRead>(table.get()));
  }

  // flows 0: every packet is a new one.
  Forward& forward(const std::string& mode, uint32_t flows, double goal) {
    const bool new_flows = flows == 0;
    const TrafficOptions o{.family = world_.family,
                           .services = world_.services,
                           .flows = flows,
                           .first = new_flows ? next_new() : 0,
                           .syn = new_flows};
    auto work = std::make_unique<Forward>(port_, o, mode == "dsr" ? *world_.dsr : *world_.ipip, &table_.get());
    Forward& made = *work;
    add({.name = new_flows ? "new flow" : "hit",
         .family = world_.family,
         .forward = mode,
         .services = world_.services,
         .flows = flows,
         .slots = table_.slots(),
         .ns = {},
         .ratio = {},
         .goal = world_.family == 4 && world_.services == 1 && mode == "ipip" ? goal : 0},
        std::move(work));
    return made;
  }

  // More rounds than asked for when too many samples were disturbed.
  void run(uint32_t rounds, Report& out) {
    for (Kind& k : kinds_) k.batches = batches_for(*k.work, kSampleMs);
    for (uint32_t r = 0; r < rounds || (r < rounds * kPatience && fewest() < kLeastSamples); r++)
      for (Kind& k : kinds_) k.ns.push_back(sample(*k.work, k.batches));
    for (size_t k = 2; k < kinds_.size(); k++) report(kinds_[k], out);
    for (const Kind& k : kinds_) {
      out.taken += k.ns.size();
      out.thrown_away += static_cast<size_t>(std::ranges::count_if(k.ns, [](const auto& ns) { return !ns; }));
    }
  }

 private:
  static constexpr size_t kIo = 0, kIoGenerator = 1, kMacSwap = 2, kRead = 3;

  // Far from the flows that were there before, and from the other new ones.
  uint32_t next_new() { return 0x20000000u + 0x20000000u * new_++; }
  void add(Row row, std::unique_ptr<Work> work) { kinds_.push_back({std::move(row), std::move(work)}); }

  // Of the round, or of one of the two before it.
  std::optional<double> recent(size_t kind, size_t round) const {
    for (size_t age = 0; age < 3 && age <= round; age++)
      if (const auto& ns = kinds_[kind].ns[round - age]) return ns;
    return std::nullopt;
  }
  size_t fewest() const {
    size_t least = SIZE_MAX;
    for (const Kind& k : kinds_)
      least = std::min(least,
                       static_cast<size_t>(std::ranges::count_if(k.ns, [](const auto& ns) { return ns.has_value(); })));
    return least;
  }

  void report(Kind& k, Report& out) {
    const bool is_read = &k == &kinds_[kRead];
    std::vector<double> ns, ratio;
    for (size_t r = 0; r < k.ns.size(); r++) {
      const auto io = recent(kIo, r), both = recent(kIoGenerator, r), swap = recent(kMacSwap, r);
      if (!k.ns[r] || !io || !both || !swap) continue;
      const double generator = *both - *io;
      ns.push_back(*k.ns[r] - (is_read ? 0 : generator));
      ratio.push_back(ns.back() / (*swap - generator));
    }
    if (ns.empty()) die("no sample was left undisturbed: the machine is too busy to measure anything");
    k.row.ns = spread_of(std::move(ns));
    k.row.ratio = spread_of(std::move(ratio));
    out.rows.push_back(k.row);
  }

  const World& world_;
  Port port_;
  const Table& table_;
  std::unique_ptr<Traffic> traffic_;
  std::vector<Kind> kinds_;
  uint32_t new_ = 0;
};

void measure_stages(Forward& work, std::string name, Report& out) {
  const auto names = Forward::stages();
  std::vector<std::vector<double>> cycles(names.size());
  std::vector<uint64_t> once(names.size());
  for (size_t n = 0; n < kStageBatches; n++) {
    work.batch_by_stage(once);
    for (size_t s = 0; s < names.size(); s++) cycles[s].push_back(static_cast<double>(once[s]) / stages::kBatch);
  }
  StageRow row{.work = std::move(name), .cycles = {}};
  for (size_t s = 0; s < names.size(); s++) row.cycles.emplace_back(names[s], spread_of(std::move(cycles[s])).median);
  out.stages.push_back(std::move(row));
}

void check_forwarded(const Forward& work, const std::string& name) {
  const uint64_t* c = work.counters();
  if (c[LB_COUNT_Forwarded] == c[LB_COUNT_RxPackets] && c[LB_COUNT_RxPackets] != 0) return;
  die(fmt::format("{}: of {} packets {} were forwarded; all should have been", name, c[LB_COUNT_RxPackets],
                  c[LB_COUNT_Forwarded]));
}

void send_flows(Port port, const World& world, const Table& table, uint32_t flows) {
  const TrafficOptions o{.family = world.family, .services = world.services, .flows = 0};
  Forward work(port, o, *world.ipip, &table.get());
  for (uint32_t n = 0; n < flows; n += stages::kBatch) work.batch();
  check_forwarded(work, "filling the table");
}

double share_in_use(const stages::FlowTable& t) {
  uint64_t used = 0;
  for (uint32_t l = 0; l < t.count; l++)
    for (const uint16_t state : t.lines[l].state) used += state != 0;
  return static_cast<double>(used) / (double{LB_FLOW_ENTRIES} * t.count);
}

}  // namespace

Table::Table(uint32_t flows) {
  static int number = 0;
  folder_ = fmt::format("/dev/shm/lbd-bench-{}-{}", getpid(), number++);
  const dpdk::FlowOptions o{.folder = folder_, .key = kKey, .flows = flows, .huge_pages = true};
  file_ = must(dpdk::FlowFile::open(o, 1, [](std::string_view line) {
    std::fprintf(stderr, "packet_bench: %.*s\n", static_cast<int>(line.size()), line.data());
  }));
}

Table::~Table() {
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void make_flows(Port port, const World& world, const Table& table, uint32_t flows) {
  send_flows(port, world, table, flows);
  std::this_thread::sleep_for(kProven);
  send_flows(port, world, table, flows);
}

void measure_million(Port port, const World& world, const PhaseOptions& o, Report& out) {
  const Table table(kMillion);
  make_flows(port, world, table, kMillion);
  Phase hits(port, world, table);
  constexpr std::array<std::pair<uint32_t, double>, 3> kFlows = {{{1, 2.8}, {10'000, 0}, {kMillion, 3.4}}};
  std::vector<std::pair<Forward*, std::string>> made;
  for (const char* mode : {"dsr", "ipip"})
    for (const auto& [flows, goal] : kFlows)
      made.emplace_back(&hits.forward(mode, flows, goal), fmt::format("IPv{} {} {} flows", world.family, mode, flows));
  hits.run(o.rounds, out);
  for (auto& [work, name] : made) check_forwarded(*work, name);
  if (o.stages)
    for (auto& [work, name] : made) measure_stages(*work, name, out);

  make_flows(port, world, table, kFill);
  if (share_in_use(table.get()) < 0.999)
    die(fmt::format("the table is only {:.1f} % full", 100 * share_in_use(table.get())));
  Phase strangers(port, world, table);
  made.clear();
  for (const char* mode : {"dsr", "ipip"})
    made.emplace_back(&strangers.forward(mode, 0, 4.8), fmt::format("IPv{} {} new flows", world.family, mode));
  strangers.run(o.rounds, out);
  for (auto& [work, name] : made) check_forwarded(*work, name);
  if (o.stages)
    for (auto& [work, name] : made) measure_stages(*work, name, out);
}

void measure_ten_millions(Port port, const World& world, const PhaseOptions& o, Report& out) {
  const Table table(kSixteenMillionSlots);
  make_flows(port, world, table, kTenMillions);
  Phase phase(port, world, table);
  std::vector<Forward*> made;
  for (const char* mode : {"dsr", "ipip"}) made.push_back(&phase.forward(mode, kTenMillions, 4.2));
  phase.run(o.rounds, out);
  for (Forward* work : made) check_forwarded(*work, "10,000,000 flows");
  if (o.stages) measure_stages(*made.back(), fmt::format("IPv{} ipip 10000000 flows", world.family), out);
}

}  // namespace lb::bench
