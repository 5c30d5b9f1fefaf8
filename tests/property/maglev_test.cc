// Random pools: shares follow weights, tables are the same whatever the order, little moves when one leaves.
#include "dataplane/model/maglev.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "tests/property/random.h"

namespace lb::model {
namespace {

constexpr uint32_t kPrimes[] = {251, 1021, 4099, 65537};
constexpr int kRounds = 60;

std::vector<MaglevBackend> random_pool(property::Random& random, uint32_t most) {
  std::vector<MaglevBackend> pool(1 + random.below(most));
  std::set<net::Address> used;
  const uint32_t spread = random.chance(50) ? 1000 : 3;
  for (size_t i = 0; i < pool.size(); i++) {
    do {
      lb_addr raw{};
      for (uint8_t& b : raw.b) b = static_cast<uint8_t>(random.bits());
      pool[i].address = random.chance(50) ? net::Address(raw) : net::Address::from_ipv4(raw.b);
    } while (!used.insert(pool[i].address).second);
    pool[i].weight = 1 + random.below(spread);
    pool[i].id = net::BackendId{static_cast<uint16_t>(i + 1)};
  }
  return pool;
}

std::vector<uint32_t> count(const std::vector<uint16_t>& table, size_t n) {
  std::vector<uint32_t> slots(n + 1);
  for (uint16_t id : table) slots[id]++;
  return slots;
}

// A turn gives at most one slot and a credit is below two: a share is off by a slot for each end of the filling, and by
// the slots that those below one get for nothing.
TEST(MaglevProperty, SharesFollowWeights) {
  for (uint64_t round = 0; round < kRounds; round++) {
    property::Random random(round);
    const uint32_t size = kPrimes[random.below(4)];
    const auto pool = random_pool(random, 120);
    double sum = 0;
    for (const auto& b : pool) sum += b.weight;
    const auto slots = count(build_maglev(pool, size), pool.size());
    ASSERT_EQ(slots[0], 0u);
    const auto below_one = static_cast<double>(
        std::ranges::count_if(pool, [&](const MaglevBackend& b) { return size * b.weight / sum < 1.0; }));
    for (const auto& b : pool) {
      const double share = size * b.weight / sum;
      ASSERT_GE(slots[net::raw(b.id)], 1u);
      ASSERT_NEAR(slots[net::raw(b.id)], share, 2.0 + below_one)
          << "seed " << property::seed() << " round " << round << " size " << size << " of " << pool.size();
    }
  }
}

TEST(MaglevProperty, OrderNeverMatters) {
  for (uint64_t round = 0; round < kRounds; round++) {
    property::Random random(round);
    auto pool = random_pool(random, 100);
    const auto table = build_maglev(pool, 1021);
    std::shuffle(pool.begin(), pool.end(), std::mt19937_64(random.bits()));
    ASSERT_EQ(build_maglev(pool, 1021), table) << "seed " << property::seed() << " round " << round;
  }
}

// Beyond its own slots a backend that leaves moves at most 1.1 % of the table when weights are equal, and at most that
// or three times its own share when it was heavier than the rest. About one pool in 1,500 is over it, where backends
// share a step through the table and so displace each other in a row (3,000 pools: 1.7 % was the most).
TEST(MaglevProperty, RemovingOneMovesLittleElse) {
  int over = 0;
  for (uint64_t round = 0; round < 20; round++) {
    property::Random random(round);
    auto pool = random_pool(random, 300);
    pool.push_back(pool.front());  // never empty afterwards
    pool.back().address = net::Address::parse("10.255.255.255").value();
    pool.back().id = net::BackendId{static_cast<uint16_t>(pool.size())};
    const bool equal = random.chance(50);
    double sum = 0;
    for (auto& b : pool) {
      if (equal) b.weight = 100;
      sum += b.weight;
    }
    const auto before = build_maglev(pool, 65537);
    const MaglevBackend gone = pool[random.below(static_cast<uint32_t>(pool.size()))];
    std::erase(pool, gone);
    const auto after = build_maglev(pool, 65537);
    double moved = 0;
    for (size_t i = 0; i < before.size(); i++) moved += before[i] != net::raw(gone.id) && before[i] != after[i];
    const double limit = equal ? 0.011 : std::max(0.011, 3 * gone.weight / sum);
    over += moved / 65537 > limit ? 1 : 0;
    ASSERT_LE(moved / 65537, 3 * limit) << "seed " << property::seed() << " round " << round << " of "
                                        << pool.size() + 1;
  }
  EXPECT_LE(over, 1) << "seed " << property::seed();
}

}  // namespace
}  // namespace lb::model
