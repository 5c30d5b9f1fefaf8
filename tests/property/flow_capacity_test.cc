// How many flows a table really holds: as many as configured, and the latest of a flood of new ones.
#include <gtest/gtest.h>

#include "dataplane/flows/flow_shape.h"
#include "tests/property/flow_world.h"

namespace lb::property {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr uint32_t kFlows = 65536;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr uint32_t kFlows = 65536;
#else
constexpr uint32_t kFlows = 1048576;
#endif
#else
constexpr uint32_t kFlows = 1048576;
#endif

// SYNs of flows first, first + 1, ...; as many at once as a batch holds, `per_ms` a millisecond.
class Flood {
 public:
  explicit Flood(uint32_t flows) : memory_(flows::flow_lines(flows, 1)) {
    tracker_ = stages::FlowTracker(memory_.view(), {}, counters_.data());
    tracker_.tick(now_, nullptr);
  }
  void insert(uint32_t first, uint32_t count, uint32_t per_ms) {
    FlowBatch batch(world_.get());
    for (uint32_t n = 0; n < count; n += stages::kBatch) {
      batch.clear();
      for (uint32_t k = n; k < std::min(n + stages::kBatch, count); k++) batch.add(tuple(first + k), LB_TCP_SYN);
      batch.run(tracker_);
      if (n / per_ms != (n + stages::kBatch) / per_ms) tracker_.tick(++now_, nullptr);
    }
  }
  uint32_t found(uint32_t first, uint32_t count) const {
    uint32_t found = 0;
    for (uint32_t n = 0; n < count; n++) {
      const uint64_t hash = hash_of(key_, tuple(first + n));
      const auto lines = static_cast<uint32_t>(memory_.lines.size());
      for (const uint32_t at : {lb_flow_first_line(hash, lines), lb_flow_second_line(hash, lines)}) {
        if (net::match_flow(memory_.lines[at], static_cast<uint32_t>(hash)) == 0) continue;
        found++;
        break;
      }
    }
    return found;
  }
  uint64_t counted(lb_counter c) const { return counters_[c]; }

 private:
  static Tuple tuple(uint32_t n) { return tuple_of(n, LB_PROTO_TCP); }

  FlowWorld world_;
  TableMemory memory_;
  lb_hash_key key_ = world_.get().hash_key;
  std::vector<uint64_t> counters_ = std::vector<uint64_t>(LB_COUNT_MAX);
  stages::FlowTracker tracker_;
  uint64_t now_ = 1'000'000;
};

TEST(FlowCapacity, HoldsAsManyAsConfigured) {
  Flood flood(kFlows);
  flood.insert(0, kFlows, 2000);
  const uint32_t found = flood.found(0, kFlows);
  EXPECT_GE(found, kFlows - kFlows / 1000);
  std::cout << kFlows - found << " of " << kFlows << " flows untracked at capacity\n";
}

TEST(FlowCapacity, HoldsTheLatestOfAFlood) {
  for (const uint32_t per_ms : {500u, 5000u}) {
    Flood flood(kFlows);
    const uint32_t all = kFlows * 4, last = kFlows / 2;
    flood.insert(0, all, per_ms);
    const uint32_t found = flood.found(all - last, last);
    EXPECT_GE(found, last - last / 1000);
    EXPECT_GT(flood.counted(LB_COUNT_FlowsEvictedOnce), kFlows);
    EXPECT_EQ(0, flood.counted(LB_COUNT_FlowsUntracked));
    std::cout << last - found << " of the last " << last << " flows lost at " << per_ms << " new flows a millisecond\n";
  }
}

}  // namespace
}  // namespace lb::property
