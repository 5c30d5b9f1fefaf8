// lb_flow_hash4 and lb_flow_hash6 over many tuples: eight at once in AVX2 where the compiler may use it, else one after
// another. Both give the same values, bit for bit (tests/property/hash_batch_test.cc).
#pragma once

#include <cstdint>

#include "dataplane/net/hash.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace lb::net {

inline constexpr uint32_t kHashBatch = 64;

// The message words of each tuple, side by side, ready for the lanes.
template <uint32_t kWords>
struct FlowWords {
  alignas(32) uint64_t word[kWords][kHashBatch];
};

struct FlowWords4 : FlowWords<2> {
  static constexpr uint64_t kLength = 13;  // of the message in bytes, which ends its last word
  // As lb_flow_hash4: addresses as they lie in the packet; ports: sport | dport << 16, as they lie in the packet.
  void set(uint32_t i, uint32_t src, uint32_t dst, uint32_t ports, uint8_t proto) noexcept {
    word[0][i] = src | static_cast<uint64_t>(dst) << 32;
    word[1][i] = ports | static_cast<uint64_t>(proto) << 32 | kLength << 56;
  }
};

struct FlowWords6 : FlowWords<5> {
  // As lb_flow_hash6.
  void set(uint32_t i, const uint8_t src[16], const uint8_t dst[16], uint32_t ports, uint8_t proto) noexcept {
    word[0][i] = lb_load64(src);
    word[1][i] = lb_load64(src + 8);
    word[2][i] = lb_load64(dst);
    word[3][i] = lb_load64(dst + 8);
    word[4][i] = ports | static_cast<uint64_t>(proto) << 32 | 37ull << 56;
  }
};

template <uint32_t kWords>
uint64_t hash_one(const lb_hash_key& key, const FlowWords<kWords>& in, uint32_t i) noexcept {
  lb_sip s;
  lb_sip_init(&s, &key);
  for (uint32_t w = 0; w < kWords; w++) lb_sip_word(&s, in.word[w][i]);
  return lb_sip_final(&s);
}

template <uint32_t kWords>
void hash_flows_plain(const lb_hash_key& key, const FlowWords<kWords>& in, uint32_t count, uint64_t* out) noexcept {
  for (uint32_t i = 0; i < count; i++) out[i] = hash_one(key, in, i);
}

#ifdef __AVX2__
namespace detail {

// Four SipHash states, one a lane.
struct Sip4 {
  __m256i v0, v1, v2, v3;
};

template <int bits>
inline __m256i rotl(__m256i x) noexcept {
  if constexpr (bits == 32) return _mm256_shuffle_epi32(x, 0xb1);
  if constexpr (bits == 16)
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(6, 7, 0, 1, 2, 3, 4, 5, 14, 15, 8, 9, 10, 11, 12, 13, 6, 7, 0, 1, 2,
                                                   3, 4, 5, 14, 15, 8, 9, 10, 11, 12, 13));
  return _mm256_or_si256(_mm256_slli_epi64(x, bits), _mm256_srli_epi64(x, 64 - bits));
}

// The round of lb_sip_round.
inline void round(Sip4& s) noexcept {
  s.v0 = _mm256_add_epi64(s.v0, s.v1);
  s.v1 = _mm256_xor_si256(rotl<13>(s.v1), s.v0);
  s.v0 = rotl<32>(s.v0);
  s.v2 = _mm256_add_epi64(s.v2, s.v3);
  s.v3 = _mm256_xor_si256(rotl<16>(s.v3), s.v2);
  s.v0 = _mm256_add_epi64(s.v0, s.v3);
  s.v3 = _mm256_xor_si256(rotl<21>(s.v3), s.v0);
  s.v2 = _mm256_add_epi64(s.v2, s.v1);
  s.v1 = _mm256_xor_si256(rotl<17>(s.v1), s.v2);
  s.v2 = rotl<32>(s.v2);
}

inline Sip4 init(const lb_hash_key& key) noexcept {
  lb_sip s;
  lb_sip_init(&s, &key);
  const auto all = [](uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); };
  return {all(s.v0), all(s.v1), all(s.v2), all(s.v3)};
}

// Two groups of four, so that one's latency hides behind the other's.
inline void word(Sip4& a, Sip4& b, const uint64_t* words) noexcept {
  const __m256i ma = _mm256_load_si256(reinterpret_cast<const __m256i*>(words));
  const __m256i mb = _mm256_load_si256(reinterpret_cast<const __m256i*>(words + 4));
  a.v3 = _mm256_xor_si256(a.v3, ma);
  b.v3 = _mm256_xor_si256(b.v3, mb);
  round(a);
  round(b);
  a.v0 = _mm256_xor_si256(a.v0, ma);
  b.v0 = _mm256_xor_si256(b.v0, mb);
}

inline void store(const Sip4& s, uint64_t* out) noexcept {
  const __m256i h = _mm256_xor_si256(_mm256_xor_si256(s.v0, s.v1), _mm256_xor_si256(s.v2, s.v3));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), h);
}

}  // namespace detail

// Of tuples first..first + 7 by what a key makes of the states at the start. first: a multiple of 8.
template <uint32_t kWords>
[[gnu::always_inline]] inline void hash_eight(const detail::Sip4& start, const FlowWords<kWords>& in, uint32_t first,
                                              uint64_t* out) noexcept {
  const __m256i ff = _mm256_set1_epi64x(0xff);
  detail::Sip4 a = start, b = start;
  for (uint32_t w = 0; w < kWords; w++) detail::word(a, b, in.word[w] + first);
  a.v2 = _mm256_xor_si256(a.v2, ff);
  b.v2 = _mm256_xor_si256(b.v2, ff);
  for (int r = 0; r < 3; r++) {
    detail::round(a);
    detail::round(b);
  }
  detail::store(a, out + first);
  detail::store(b, out + first + 4);
}

// REQUIRES: count <= kHashBatch; what set() was not called for gets some hash.
template <uint32_t kWords>
void hash_flows(const lb_hash_key& key, const FlowWords<kWords>& in, uint32_t count, uint64_t* out) noexcept {
  const detail::Sip4 start = detail::init(key);
  for (uint32_t i = 0; i + 8 <= count; i += 8) hash_eight(start, in, i, out);
  for (uint32_t i = count & ~7u; i < count; i++) out[i] = hash_one(key, in, i);
}
#else
template <uint32_t kWords>
void hash_flows(const lb_hash_key& key, const FlowWords<kWords>& in, uint32_t count, uint64_t* out) noexcept {
  hash_flows_plain(key, in, count, out);
}
#endif

}  // namespace lb::net
