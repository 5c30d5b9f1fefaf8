// The flow stage against the model of flow_model.h, over millions of random packets with time that the test turns.
#include <gtest/gtest.h>

#include "tests/property/flow_model.h"

namespace lb::property {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kPackets = 500'000;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr uint64_t kPackets = 500'000;
#else
constexpr uint64_t kPackets = 5'000'000;
#endif
#else
constexpr uint64_t kPackets = 5'000'000;
#endif

struct Packet {
  uint32_t flow;
  Tuple tuple;
  uint8_t tcp;
};

class Comparison {
 public:
  Comparison(uint32_t lines, uint32_t flows, bool many_new)
      : random_(lines), memory_(lines), model_(lines, world_), flows_(flows), many_new_(many_new) {
    tracker_ = stages::FlowTracker(memory_.view(), {}, counters_.data());
    tracker_.tick(now_, nullptr);
  }

  void go(uint64_t packets) {
    FlowBatch batch(world_.get());
    for (uint64_t done = 0; done < packets && !::testing::Test::HasFatalFailure(); done += batch.size()) {
      if (random_.below(many_new_ ? 200 : 1000) == 0) change_world();
      pass_time();
      pick();
      batch.clear();
      for (const Packet& p : packets_) batch.add(p.tuple, p.tcp);
      expect();
      batch.run(tracker_);
      compare(batch);
    }
  }
  uint64_t counted(lb_counter c) const { return counters_[c]; }
  size_t live() const { return model_.live(now_); }

 private:
  // Mostly moments, sometimes seconds, rarely so long that time fields wrap; always so that the sweep is done as often
  // as it must be.
  void pass_time() {
    const uint32_t kind = random_.below(many_new_ ? 1'000 : 50'000);
    uint64_t ms = random_.below(20);
    if (kind < 30) ms = random_.below(12'000);
    if (kind < 3) ms = random_.below(100'000);
    if (kind == 0) ms = random_.below(3'000'000);
    while (ms > 0) {
      const uint64_t step = random_.chance(50) ? ms : std::min<uint64_t>(ms, 1 + random_.below(5'000));
      now_ += step;
      ms -= step;
      tracker_.tick(now_, nullptr);
    }
  }

  void change_world() {
    lb_backend& b = world_.get().backends[1 + random_.below(FlowWorld::kBackends)];
    switch (random_.below(5)) {
      case 0:
        b.flags ^= LB_BACKEND_READY;
        break;
      case 1:
        set_all([](uint16_t, lb_backend& other) { other.flags |= LB_BACKEND_SERVING; });
        if (random_.chance(30)) b.flags ^= LB_BACKEND_SERVING;
        break;
      case 2:
        set_all([](uint16_t id, lb_backend& other) { other.pool = id <= 6 ? 1 : 2; });
        if (random_.chance(30)) b.pool = static_cast<uint16_t>(1 + random_.below(3));
        break;
      case 3:
        world_.get().services[random_.below(2)].former_pool = static_cast<uint16_t>(random_.below(4));
        break;
      default:
        for (int n = 0; n < 20; n++)
          world_.slots(random_.below(2))[random_.below(FlowWorld::kSlots)] =
              static_cast<uint16_t>(1 + random_.below(FlowWorld::kBackends));
    }
  }

  template <class Set>
  void set_all(Set set) {
    for (uint16_t id = 1; id <= FlowWorld::kBackends; id++) set(id, world_.get().backends[id]);
  }

  // Every flow once; in a full table one new one at most, so that what it pushes out can be seen afterwards.
  void pick() {
    constexpr uint8_t kFlags[] = {2,  2, 16, 16, 16, 16, 24 | LB_FLOW_PAYLOAD, 24 | LB_FLOW_PAYLOAD,
                                  17, 4, 20, 18, 3,  0};
    packets_.clear();
    std::vector<uint32_t> seen;
    bool is_new = false;
    for (uint32_t n = 1 + random_.below(64); n > 0; n--) {
      const uint32_t flow = random_.chance(70) ? random_.below(flows_ / 8) : random_.below(flows_);
      const uint8_t proto = flow % 5 == 0 ? LB_PROTO_UDP : LB_PROTO_TCP;
      if (std::find(seen.begin(), seen.end(), flow) != seen.end()) continue;
      const Tuple tuple = tuple_of(flow, proto);
      if (!many_new_ && !model_.find(flow, tuple)) {
        if (is_new) continue;
        is_new = true;
      }
      seen.push_back(flow);
      const uint8_t tcp = proto == LB_PROTO_TCP ? kFlags[random_.below(sizeof kFlags)] : uint8_t{0};
      packets_.push_back({flow, tuple, tcp});
    }
  }

  // All packets meet the table before the first new flow gets an entry.
  void expect() {
    found_.clear();
    for (const Packet& p : packets_) found_.push_back(model_.meet(p.flow, p.tuple, p.tcp, now_));
  }

  std::optional<Place> place_of(const Packet& p) const {
    const uint64_t hash = hash_of(key_, p.tuple);
    for (const uint32_t line : model_.candidates(p.tuple)) {
      const uint32_t found = lb_flow_match_plain(&memory_.lines[line], static_cast<uint32_t>(hash));
      if (found != 0) return Place{line, static_cast<uint32_t>(__builtin_ctz(found))};
    }
    return std::nullopt;
  }

  void compare(const FlowBatch& batch) {
    for (uint32_t i = 0; i < packets_.size(); i++) {
      ASSERT_EQ(found_[i].backend != 0, batch.known(i)) << describe(i);
      if (batch.known(i)) {
        ASSERT_EQ(found_[i].backend, batch.backend(i)) << describe(i);
      } else {
        ASSERT_EQ(world_.chosen(packets_[i].tuple), batch.backend(i)) << describe(i);
        keep(i);
      }
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (uint32_t i = 0; i < packets_.size() && !::testing::Test::HasFatalFailure(); i++)
      if (model_.find(packets_[i].flow, packets_[i].tuple)) compare_state(i);
  }

  void compare_state(uint32_t i) {
    const auto place = place_of(packets_[i]);
    ASSERT_TRUE(place) << describe(i);
    const ModelEntry& e = *model_.at(*place);
    const uint16_t state = memory_.lines[place->line].state[place->entry];
    ASSERT_EQ(e.is_over(now_) ? uint32_t{LB_FLOW_STALE} : e.what, lb_flow_class_now(state, now_)) << describe(i);
    if (!e.is_over(now_)) {
      ASSERT_EQ(e.age(now_), lb_flow_age(state, now_)) << describe(i);
    }
  }

  void keep(uint32_t i) {
    const Packet& p = packets_[i];
    if (FlowModel::is_refused(p.tuple.proto, p.tcp)) return;
    std::optional<Place> place = found_[i].replace;
    if (place && (!model_.at(*place) || model_.at(*place)->flow != p.flow)) place.reset();  // pushed out meanwhile
    const bool chosen = !place;
    if (chosen) {
      const std::vector<Place> allowed = model_.victims(p.tuple, now_);
      place = place_after(i, allowed);
      ASSERT_EQ(allowed.empty(), !place) << describe(i);
      if (!place) return;
      ASSERT_NE(allowed.end(), std::find(allowed.begin(), allowed.end(), *place)) << describe(i);
    }
    model_.at(*place) = ModelEntry{p.flow, p.tuple.proto, LB_FLOW_ONCE, now_, world_.chosen(p.tuple)};
    if (place_of(p) != place) return;
    const lb_flow_cold& cold = memory_.cold[place->line * LB_FLOW_ENTRIES + place->entry];
    ASSERT_EQ(hash_of(key_, p.tuple), cold.hash);
    ASSERT_EQ(now_, cold.start_ms);
    ASSERT_EQ(0, std::memcmp(&cold.src, &p.tuple.src, 16));
  }

  // Where the new flow went: where it is; or, when a later packet of the batch pushed it out at once, the first of
  // equal victims, as the table breaks ties.
  std::optional<Place> place_after(uint32_t i, const std::vector<Place>& allowed) const {
    const auto place = place_of(packets_[i]);
    return place || allowed.empty() ? place : allowed.front();
  }

  std::string describe(uint32_t i) const {
    return "flow " + std::to_string(packets_[i].flow) + " tcp " + std::to_string(packets_[i].tcp) + " at " +
           std::to_string(now_) + " ms, packet " + std::to_string(i) + " of " + std::to_string(packets_.size());
  }

  Random random_;
  FlowWorld world_;
  TableMemory memory_;
  FlowModel model_;
  uint32_t flows_;
  bool many_new_;
  lb_hash_key key_ = world_.get().hash_key;
  std::vector<uint64_t> counters_ = std::vector<uint64_t>(LB_COUNT_MAX);
  stages::FlowTracker tracker_;
  uint64_t now_ = 1'000'000;
  std::vector<Packet> packets_;
  std::vector<FlowModel::Found> found_;
};

TEST(FlowProperty, AgreesWithTheModelWhereThereIsRoom) {
  Comparison run(4096, 4000, true);
  run.go(kPackets);
  EXPECT_EQ(0, run.counted(LB_COUNT_FlowsUntracked));
  EXPECT_GT(run.counted(LB_COUNT_FlowHits), kPackets / 50'000);
  EXPECT_GT(run.counted(LB_COUNT_FlowsMovedBackend), kPackets / 50'000);
  EXPECT_GT(run.counted(LB_COUNT_FlowsMovedPool), kPackets / 50'000);
}

TEST(FlowProperty, AgreesWithTheModelInAFullTable) {
  Comparison run(64, 3000, false);
  run.go(kPackets);
  EXPECT_GT(run.live(), 64 * LB_FLOW_ENTRIES / 2);
  // That the table was full at all, in every way: rarer ways are met by the long run of the plain build only.
  EXPECT_GT(run.counted(LB_COUNT_FlowsEvictedOnce), kPackets / 50'000);
  EXPECT_GT(run.counted(LB_COUNT_FlowsEvictedClosing), kPackets / 500'000);
  EXPECT_GT(run.counted(LB_COUNT_FlowsEvictedAgreeing), kPackets / 500'000);
  if (kPackets == 5'000'000) {
    EXPECT_GT(run.counted(LB_COUNT_FlowsUntracked), 0u);
  }
}

// A new flow's packets come in one burst: the later ones find what the first has just written.
TEST(FlowProperty, GivesOneEntryToTheFlowOfABurst) {
  FlowWorld world;
  TableMemory memory(64);
  uint64_t counters[LB_COUNT_MAX] = {};
  stages::FlowTracker tracker(memory.view(), {}, counters);
  tracker.tick(1'000'000, nullptr);
  FlowBatch batch(world.get());
  for (uint32_t k = 0; k < stages::kBatch; k++)
    batch.add(tuple_of(k % 4, LB_PROTO_TCP), k < 4 ? LB_TCP_SYN : LB_TCP_ACK);
  batch.run(tracker);
  EXPECT_EQ(4u, counters[LB_COUNT_FlowsInserted]);
  for (uint32_t k = 4; k < stages::kBatch; k++) EXPECT_EQ(batch.backend(k % 4), batch.backend(k));
}

}  // namespace
}  // namespace lb::property
