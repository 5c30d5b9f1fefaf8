// All that threads share of the flow tables, at once: two workers that write their own table and look into the other's,
// control that counts, scans and asks for entries to be forgotten, publication of snapshots. Also a program for TSan.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "dataplane/dpdk/flow_tables.h"
#include "dataplane/dpdk/rcu.h"
#include "dataplane/flows/flow_clock.h"
#include "tests/property/flow_world.h"

namespace lb::dpdk {
namespace {

using property::FlowBatch;
using property::FlowWorld;
using property::tuple_of;

constexpr uint32_t kFlows = 20'000;

#if defined(__SANITIZE_THREAD__)
constexpr uint32_t kRounds = 200;
#else
constexpr uint32_t kRounds = 2000;
#endif

class Folder {
 public:
  Folder() {
    char name[] = "/dev/shm/lbd-flow-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

// Each generation of the world names other backends in its tables; all of them serve.
std::shared_ptr<FlowWorld> world_of(uint32_t generation) {
  auto world = std::make_shared<FlowWorld>();
  for (uint32_t s = 0; s < 2; s++)
    for (uint32_t i = 0; i < FlowWorld::kSlots; i++)
      world->slots(s)[i] = static_cast<uint16_t>(1 + 6 * s + (i + generation) % 6);
  return world;
}

void work(uint32_t number, FlowTables& tables, Readers& readers, const Published<FlowWorld>& published,
          std::atomic<uint32_t>& running, uint64_t& wrong) {
  std::vector<uint64_t> counters(LB_COUNT_MAX);
  stages::FlowTracker tracker(tables.of(number), tables.others_of(number), counters.data());
  property::Random random(number);
  readers.online(number);
  uint64_t now = flows::flow_clock_ms();
  for (uint32_t round = 0; round < kRounds; round++) {
    readers.quiescent(number);
    FlowWorld& world = const_cast<FlowWorld&>(*published.read());
    tracker.tick(now += random.below(20), tables.requests_of(number));
    FlowBatch batch(world.get());
    for (uint32_t k = 0; k < stages::kBatch; k++)
      batch.add(tuple_of(random.below(kFlows), LB_PROTO_TCP), random.chance(30) ? LB_TCP_SYN : LB_TCP_ACK);
    batch.run(tracker);
    // A flow of service s keeps to the pool of service s, whatever was read torn.
    for (uint32_t k = 0; k < stages::kBatch; k++) wrong += batch.backend(k) == 0 || batch.backend(k) > 12;
  }
  readers.offline(number);
  running--;
}

TEST(FlowRace, WorkersControlAndPublication) {
  const Folder folder;
  auto file = FlowFile::open({.folder = folder.path + "/flows", .key = {1, 2}, .flows = 4096, .huge_pages = false}, 2,
                             [](std::string_view) {});
  ASSERT_TRUE(file);
  FlowTables tables(std::move(*file), 4096);
  Readers readers(2);
  Published<FlowWorld> published(readers, world_of(0));
  std::atomic<uint32_t> running = 2;
  uint64_t wrong[2] = {};
  std::thread first(work, 0, std::ref(tables), std::ref(readers), std::cref(published), std::ref(running),
                    std::ref(wrong[0]));
  std::thread second(work, 1, std::ref(tables), std::ref(readers), std::cref(published), std::ref(running),
                     std::ref(wrong[1]));
  uint64_t seen = 0, torn = 0, counted = 0;
  for (uint32_t generation = 1; running > 0; generation++) {
    published.publish(world_of(generation), std::chrono::seconds(2));
    counted += tables.count().live;
    std::optional<uint64_t> at = 0;
    while (at) {
      at = tables.scan(*at, 64, [&](const model::Flow& f) {
        seen++;
        const auto n = static_cast<uint32_t>(f.source.b[13] << 16 | f.source.b[14] << 8 | f.source.b[15]);
        const property::Tuple t = tuple_of(n, LB_PROTO_TCP);
        torn += n >= kFlows || std::memcmp(&t.dst, &f.destination, 16) != 0 ||
                f.hash != property::hash_of(published.current()->key(), t);
        if (seen % 7 == 0) (void)tables.forget(f);
      });
    }
  }
  first.join();
  second.join();
  EXPECT_GT(seen, 0u);
  EXPECT_GT(counted, 0u);
  EXPECT_EQ(0u, torn);
  EXPECT_EQ(0u, wrong[0] + wrong[1]);
}

}  // namespace
}  // namespace lb::dpdk
