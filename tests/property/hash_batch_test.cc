// The batch version of the flow hash equals the single one, for every count and any tuple.
#include "dataplane/net/hash_batch.h"

#include <gtest/gtest.h>

#include "tests/property/random.h"

namespace lb::net {
namespace {

constexpr uint64_t kUntouched = 0xdeadbeefdeadbeefull;

TEST(HashBatch, EqualsTheSingleHash) {
  for (uint64_t round = 0; round < 2000; round++) {
    property::Random random(round);
    const lb_hash_key key{random.bits(), random.bits()};
    const auto count = static_cast<uint32_t>(round % (kHashBatch + 1));
    FlowWords4 words;
    uint64_t expected[kHashBatch], fast[kHashBatch], plain[kHashBatch];
    for (uint32_t i = 0; i < kHashBatch; i++) {
      const auto src = static_cast<uint32_t>(random.bits()), dst = static_cast<uint32_t>(random.bits()),
                 ports = static_cast<uint32_t>(random.bits());
      const auto proto = static_cast<uint8_t>(random.bits());
      words.set(i, src, dst, ports, proto);
      expected[i] = i < count ? lb_flow_hash4(&key, src, dst, ports, proto) : kUntouched;
      fast[i] = plain[i] = kUntouched;
    }
    hash_flows(key, words, count, fast);
    hash_flows_plain(key, words, count, plain);
    for (uint32_t i = 0; i < kHashBatch; i++) {
      ASSERT_EQ(fast[i], expected[i]) << "seed " << property::seed() << " round " << round << " tuple " << i;
      ASSERT_EQ(plain[i], expected[i]) << "seed " << property::seed() << " round " << round << " tuple " << i;
    }
  }
}

TEST(HashBatch, EqualsTheSingleHashOfIpv6) {
  for (uint64_t round = 0; round < 2000; round++) {
    property::Random random(round);
    const lb_hash_key key{random.bits(), random.bits()};
    const auto count = static_cast<uint32_t>(round % (kHashBatch + 1));
    FlowWords6 words;
    uint64_t expected[kHashBatch], fast[kHashBatch], plain[kHashBatch];
    for (uint32_t i = 0; i < kHashBatch; i++) {
      uint8_t src[16], dst[16];
      for (uint8_t& b : src) b = static_cast<uint8_t>(random.bits());
      for (uint8_t& b : dst) b = static_cast<uint8_t>(random.bits());
      const auto ports = static_cast<uint32_t>(random.bits());
      const auto proto = static_cast<uint8_t>(random.bits());
      words.set(i, src, dst, ports, proto);
      expected[i] = i < count ? lb_flow_hash6(&key, src, dst, ports, proto) : kUntouched;
      fast[i] = plain[i] = kUntouched;
    }
    hash_flows(key, words, count, fast);
    hash_flows_plain(key, words, count, plain);
    for (uint32_t i = 0; i < kHashBatch; i++) {
      ASSERT_EQ(fast[i], expected[i]) << "seed " << property::seed() << " round " << round << " tuple " << i;
      ASSERT_EQ(plain[i], expected[i]) << "seed " << property::seed() << " round " << round << " tuple " << i;
    }
  }
}

}  // namespace
}  // namespace lb::net
