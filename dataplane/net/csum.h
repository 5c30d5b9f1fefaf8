// Internet checksum (RFC 1071) and its incremental update (RFC 1624). C11 and C++20. Values are as they lie in the
// packet (network order); the sum is the same in either byte order as long as both sides agree.
#pragma once

#include "dataplane/net/headers.h"

static inline __u16 lb_csum_fold(__u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)sum;
}

// Of a sum of 32-bit words, 65,536 of them at most: their halves are summed.
static inline __u16 lb_csum_fold64(__u64 sum) {
  return lb_csum_fold((__u32)((sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32)));
}

// Sum of `words` 16-bit words at p (unaligned). `words` is small and constant or bounded by the caller.
static inline __u32 lb_csum_words(const void* p, __u32 words) {
  const __u8* b = (const __u8*)p;
  __u32 sum = 0;
  for (__u32 i = 0; i < words; i++) sum += (__u32)b[2 * i] | (__u32)b[2 * i + 1] << 8;
  return sum;
}

// The same of any number of bytes, at most 65,536; an odd one at the end stands in front of a zero (RFC 1071
// section 4.1).
static inline __u32 lb_csum_bytes(const void* p, __u32 bytes) {
  const __u32 sum = lb_csum_words(p, bytes / 2);
  return bytes % 2 == 0 ? sum : sum + ((const __u8*)p)[bytes - 1];
}

// Checksum field of an IPv4 header whose checksum field is zero; 0 when computed over a valid header.
static inline lb_be16 lb_csum_ipv4(const void* header, __u32 bytes) {
  return (lb_be16)~lb_csum_fold(lb_csum_words(header, bytes / 2));
}

// The word of TTL, protocol and checksum with a TTL one less and the checksum that belongs to it: lb_csum_update16 with
// the word's first half before and after comes down to adding 1, and 1 more where that carries or gives 0xffff.
// REQUIRES: TTL > 0.
static inline __u32 lb_csum_decrement(__u32 word) {
  return word + 0xffffu + ((__u32)(word >= 0xfffe0000u) << 16);
}

// RFC 1624 equation 3: HC' = ~(~HC + ~m + m').
static inline lb_be16 lb_csum_update16(lb_be16 csum, lb_be16 before, lb_be16 after) {
  __u32 sum = (__u32)(__u16)~csum + (__u32)(__u16)~before + (__u32)after;
  return (lb_be16)~lb_csum_fold(sum);
}
