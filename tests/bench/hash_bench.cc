// Nanoseconds a tuple of candidate flow hashes, all over the same tuples in one run: what docs/decisions/001 compares.
//   hash_bench
#include <fmt/format.h>
#include <nmmintrin.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

#include "dataplane/net/hash_batch.h"

namespace lb::net {
namespace {

constexpr size_t kBatches = 256;            // 256 KiB of tuples: second-level cache, as packets just parsed
constexpr int kRepeats = 1, kRounds = 400;  // short rounds: some of them are not interrupted

using Hashes = std::array<uint64_t, kHashBatch>;

// Linear over GF(2): here only as the floor of what a hash can cost.
void crc32c(const lb_hash_key& key, const FlowWords4& in, Hashes& out) {
  for (uint32_t i = 0; i < kHashBatch; i++)
    out[i] = _mm_crc32_u64(_mm_crc32_u64(key.k0, in.word[0][i]), in.word[1][i]) << 32;
}

// Three keyed 64-bit multiplications with folds: what a hash table would use.
void multiply(const lb_hash_key& key, const FlowWords4& in, Hashes& out) {
  for (uint32_t i = 0; i < kHashBatch; i++) {
    uint64_t h = (in.word[0][i] ^ key.k0) * 0x9e3779b97f4a7c15ull;
    h = ((h ^ h >> 32) ^ in.word[1][i] ^ key.k1) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ h >> 29) * 0x94d049bb133111ebull;
    out[i] = h ^ h >> 32;
  }
}

void siphash24(const lb_hash_key& key, const FlowWords4& in, Hashes& out) {
  for (uint32_t i = 0; i < kHashBatch; i++) {
    lb_sip s;
    lb_sip_init(&s, &key);
    for (const uint64_t m : {in.word[0][i], in.word[1][i]}) {
      s.v3 ^= m;
      lb_sip_round(&s);
      lb_sip_round(&s);
      s.v0 ^= m;
    }
    s.v2 ^= 0xff;
    for (int r = 0; r < 4; r++) lb_sip_round(&s);
    out[i] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  }
}

void siphash13(const lb_hash_key& key, const FlowWords4& in, Hashes& out) {
  hash_flows_plain(key, in, kHashBatch, out.data());
}

void siphash13_batch(const lb_hash_key& key, const FlowWords4& in, Hashes& out) {
  hash_flows(key, in, kHashBatch, out.data());
}

using Function = void (*)(const lb_hash_key&, const FlowWords4&, Hashes&);

// Best of kRounds: everything else on the machine only adds.
double nanoseconds(Function f, const lb_hash_key& key, const std::vector<FlowWords4>& tuples, uint64_t& sink) {
  double best = 1e9;
  for (int round = 0; round < kRounds; round++) {
    const auto start = std::chrono::steady_clock::now();
    for (int r = 0; r < kRepeats; r++) {
      for (const FlowWords4& t : tuples) {
        Hashes out;
        f(key, t, out);
        sink ^= out[sink % kHashBatch];
      }
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / (kRepeats * static_cast<double>(kBatches * kHashBatch)));
  }
  return best;
}

int run() {
  std::mt19937_64 random(1);
  std::vector<FlowWords4> tuples(kBatches);
  for (FlowWords4& t : tuples)
    for (uint32_t i = 0; i < kHashBatch; i++)
      t.set(i, static_cast<uint32_t>(random()), static_cast<uint32_t>(random()), static_cast<uint32_t>(random()), 6);
  const lb_hash_key key{random(), random()};
  uint64_t sink = 0;
  const std::pair<std::string_view, Function> candidates[] = {{"crc32c", crc32c},
                                                              {"3 keyed multiplications", multiply},
                                                              {"siphash-1-3", siphash13},
                                                              {"siphash-1-3, batch", siphash13_batch},
                                                              {"siphash-2-4", siphash24}};
  const double unit = nanoseconds(siphash13, key, tuples, sink);
  for (const auto& [name, f] : candidates) {
    const double ns = nanoseconds(f, key, tuples, sink);
    fmt::print("{:<24} {:5.2f} ns a tuple, {:4.2f} of siphash-1-3\n", name, ns, ns / unit);
  }
  return sink == 0;  // the results are used: nothing was optimised away
}

}  // namespace
}  // namespace lb::net

int main() {
  return lb::net::run();
}
