// The vector forms of flow_bucket.h: all eight entries of a line at once. Where the compiler has no SSE4.1 the plain
// ones stand in; all give the same (tests/unit/net/flow_bucket_test.cc). And the loads and stores by which threads
// share a table.
#pragma once

#include <array>
#include <cstring>

#include "dataplane/net/flow_bucket.h"

#ifdef __SSE4_1__
#include <immintrin.h>
#endif

// ThreadSanitizer takes a streaming store for a plain one.
#if defined(__SANITIZE_THREAD__)
#define LB_STREAM_STORES 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LB_STREAM_STORES 0
#endif
#endif
#ifndef LB_STREAM_STORES
#define LB_STREAM_STORES 1
#endif

namespace lb::net {

#ifdef __SSE4_1__
inline uint32_t match_flow(const lb_flow_line& line, uint32_t tags) noexcept {
  const auto row = [](const uint16_t* cells) { return _mm_load_si128(reinterpret_cast<const __m128i*>(cells)); };
  const __m128i tag = _mm_cmpeq_epi16(row(line.tag), _mm_set1_epi16(static_cast<short>(tags)));
  const __m128i tag2 = _mm_cmpeq_epi16(row(line.tag2), _mm_set1_epi16(static_cast<short>(tags >> 16)));
  const __m128i is_free = _mm_cmpeq_epi16(row(line.state), _mm_setzero_si128());
  const __m128i found = _mm_andnot_si128(is_free, _mm_and_si128(tag, tag2));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(found, _mm_setzero_si128())));
}

// The same without a look at the state: free entries are among them. Two bits for each entry. tags: in the low half.
inline uint32_t match_tags(const lb_flow_line& line, const uint64_t& tags) noexcept {
  const auto row = [](const uint16_t* cells) { return _mm_load_si128(reinterpret_cast<const __m128i*>(cells)); };
  uint16_t both[2];
  std::memcpy(both, &tags, sizeof both);
  const __m128i tag = _mm_cmpeq_epi16(row(line.tag), _mm_set1_epi16(static_cast<short>(both[0])));
  const __m128i tag2 = _mm_cmpeq_epi16(row(line.tag2), _mm_set1_epi16(static_cast<short>(both[1])));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_and_si128(tag, tag2)));
}

namespace detail {

// A value for each class, as the bytes of a shuffle's table: entry c for class c.
inline __m128i by_class(__m128i flow_class, uint16_t once, uint16_t closing, uint16_t reset, uint16_t udp,
                        uint16_t established) noexcept {
  const auto s = [](uint16_t v) { return static_cast<short>(v); };
  const __m128i table = _mm_setr_epi16(0, s(once), s(closing), s(reset), s(udp), s(established), 0, 0);
  // Bytes 2c and 2c + 1 of the table into each cell.
  const __m128i at = _mm_add_epi16(_mm_mullo_epi16(flow_class, _mm_set1_epi16(0x0202)), _mm_set1_epi16(0x0100));
  return _mm_shuffle_epi8(table, at);
}

struct Ages {
  __m128i flow_class, age, live;  // live: all ones where the timeout is not over
};

inline Ages ages_of(const lb_flow_line& line, uint64_t now_ms) noexcept {
  const __m128i state = _mm_load_si128(reinterpret_cast<const __m128i*>(line.state));
  const __m128i time = _mm_set1_epi16(LB_FLOW_TIME);
  const __m128i flow_class = _mm_srli_epi16(state, 13);
  const __m128i once = _mm_cmpeq_epi16(flow_class, _mm_set1_epi16(LB_FLOW_ONCE));
  const __m128i now = _mm_blendv_epi8(_mm_set1_epi16(static_cast<short>(now_ms >> LB_FLOW_OTHER_SHIFT)),
                                      _mm_set1_epi16(static_cast<short>(now_ms >> LB_FLOW_ONCE_SHIFT)), once);
  const __m128i age = _mm_and_si128(_mm_sub_epi16(now, state), time);
  const __m128i timeout = by_class(flow_class, LB_FLOW_ONCE_TIMEOUT, LB_FLOW_CLOSING_TIMEOUT, LB_FLOW_CLOSING_TIMEOUT,
                                   LB_FLOW_UDP_TIMEOUT, LB_FLOW_ESTABLISHED_TIMEOUT);
  return {flow_class, age, _mm_cmpgt_epi16(timeout, age)};
}

}  // namespace detail

inline uint32_t flow_victim(const lb_flow_line& line, uint64_t now_ms) noexcept {
  const detail::Ages a = detail::ages_of(line, now_ms);
  const __m128i base = detail::by_class(a.flow_class, LB_FLOW_HARM_ONCE, LB_FLOW_HARM_CLOSING, LB_FLOW_HARM_CLOSING,
                                        LB_FLOW_HARM_FLOW, LB_FLOW_HARM_FLOW);
  const __m128i youth = _mm_sub_epi16(_mm_set1_epi16(LB_FLOW_TIME), a.age);
  const __m128i state = _mm_load_si128(reinterpret_cast<const __m128i*>(line.state));
  const __m128i harm = _mm_add_epi16(youth, _mm_and_si128(base, a.live));
  const __m128i least = _mm_minpos_epu16(_mm_andnot_si128(_mm_cmpeq_epi16(state, _mm_setzero_si128()), harm));
  const auto both = static_cast<uint32_t>(_mm_cvtsi128_si32(least));
  return both << 16 | both >> 16;
}

// Entries in use whose timeout is over and that are not marked so yet, bit i for entry i.
inline uint32_t flows_timed_out(const lb_flow_line& line, uint64_t now_ms) noexcept {
  const detail::Ages a = detail::ages_of(line, now_ms);
  const __m128i counts = _mm_and_si128(_mm_cmpgt_epi16(a.flow_class, _mm_setzero_si128()),
                                       _mm_cmpgt_epi16(_mm_set1_epi16(LB_FLOW_STALE), a.flow_class));
  const __m128i found = _mm_andnot_si128(a.live, counts);
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(found, _mm_setzero_si128())));
}
#else
inline uint32_t match_flow(const lb_flow_line& line, uint32_t tags) noexcept {
  return lb_flow_match_words(&line, tags);
}
inline uint32_t match_tags(const lb_flow_line& line, const uint64_t& tags) noexcept {
  const uint32_t found = lb_flow_match_words(&line, static_cast<uint32_t>(tags));
  uint32_t twice = 0;
  for (uint32_t i = 0; i < LB_FLOW_ENTRIES; i++) twice |= (found >> i & 1) * (3u << 2 * i);
  return twice;
}
inline uint32_t flow_victim(const lb_flow_line& line, uint64_t now_ms) noexcept {
  return lb_flow_victim_plain(&line, now_ms);
}
inline uint32_t flows_timed_out(const lb_flow_line& line, uint64_t now_ms) noexcept {
  uint32_t found = 0;
  for (uint32_t i = 0; i < LB_FLOW_ENTRIES; i++) {
    const uint16_t state = line.state[i];
    const bool counts = lb_flow_class_of(state) != LB_FLOW_FREE && lb_flow_class_of(state) < LB_FLOW_STALE;
    found |= static_cast<uint32_t>(counts && !lb_flow_is_live(state, now_ms)) << i;
  }
  return found;
}
#endif

// A cell of our own table, as others may see it: relaxed, one 16-bit store.
inline void put(uint16_t& cell, uint16_t value) noexcept {
  __atomic_store_n(&cell, value, __ATOMIC_RELAXED);
}

using Word = uint64_t __attribute__((may_alias));

// Another thread's line. Each of its 64-bit words is of one moment.
inline lb_flow_line copy_line(const lb_flow_line& from) noexcept {
  std::array<uint64_t, 8> words;
  const auto* source = reinterpret_cast<const Word*>(&from);
  for (size_t i = 0; i < words.size(); i++) words[i] = __atomic_load_n(source + i, __ATOMIC_RELAXED);
  lb_flow_line line;
  std::memcpy(&line, words.data(), sizeof line);
  return line;
}

// Others may read it meanwhile: see lb_flow_cold. Past the caches where the compiler knows how: nobody reads it soon,
// and the line need not be brought in first.
inline void write_cold(lb_flow_cold& to, const lb_flow_cold& record) noexcept {
  std::array<__u64, 8> words;
  std::memcpy(words.data(), &record, sizeof record);
  words[7] = lb_flow_cold_check(words.data());
  auto* target = reinterpret_cast<Word*>(&to);
#if defined(__SSE4_1__) && LB_STREAM_STORES
  for (size_t i = 0; i < words.size(); i += 2)
    _mm_stream_si128(reinterpret_cast<__m128i*>(target + i),
                     _mm_set_epi64x(static_cast<long long>(words[i + 1]), static_cast<long long>(words[i])));
#else
  for (size_t i = 0; i < words.size(); i++) __atomic_store_n(target + i, words[i], __ATOMIC_RELAXED);
#endif
}

// False: there is none, or it is being written.
inline bool read_cold(const lb_flow_cold& from, lb_flow_cold& record) noexcept {
  std::array<__u64, 8> words;
  const auto* source = reinterpret_cast<const Word*>(&from);
  for (size_t i = 0; i < words.size(); i++) words[i] = __atomic_load_n(source + i, __ATOMIC_RELAXED);
  std::memcpy(&record, words.data(), sizeof record);
  return words[7] == lb_flow_cold_check(words.data());
}

}  // namespace lb::net
