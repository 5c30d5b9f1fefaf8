// Flow hash, frozen as hash-version 1: SipHash-1-3 (Aumasson, Bernstein 2012; one compression and three finalisation
// rounds) with a 128-bit secret key over the bytes of the tuple in network order:
//   IPv4   src[4]  dst[4]  sport[2] dport[2] proto[1]    13 bytes
//   IPv6   src[16] dst[16] sport[2] dport[2] proto[1]    37 bytes
//   source-hash: the source address alone, 4 or 16 bytes, bits beyond the prefix zero
// so that any SipHash-1-3 implementation reproduces it. docs/decisions/ tells why this one. C11 and C++20, no loops
// over data, for BPF. hash_batch.h hashes many IPv4 tuples at once.
#pragma once

#include "dataplane/net/abi.h"

static inline __u64 lb_load64(const __u8* p) {
  return (__u64)lb_load32(p) | (__u64)lb_load32(p + 4) << 32;
}
static inline __u64 lb_rotl64(__u64 x, int b) {
  return (x << b) | (x >> (64 - b));
}

struct lb_sip {
  __u64 v0, v1, v2, v3;
};

static inline void lb_sip_round(struct lb_sip* s) {
  s->v0 += s->v1;
  s->v1 = lb_rotl64(s->v1, 13) ^ s->v0;
  s->v0 = lb_rotl64(s->v0, 32);
  s->v2 += s->v3;
  s->v3 = lb_rotl64(s->v3, 16) ^ s->v2;
  s->v0 += s->v3;
  s->v3 = lb_rotl64(s->v3, 21) ^ s->v0;
  s->v2 += s->v1;
  s->v1 = lb_rotl64(s->v1, 17) ^ s->v2;
  s->v2 = lb_rotl64(s->v2, 32);
}

static inline void lb_sip_init(struct lb_sip* s, const struct lb_hash_key* key) {
  s->v0 = key->k0 ^ 0x736f6d6570736575ull;  // the constants of the paper, "somepseudorandomlygeneratedbytes"
  s->v1 = key->k1 ^ 0x646f72616e646f6dull;
  s->v2 = key->k0 ^ 0x6c7967656e657261ull;
  s->v3 = key->k1 ^ 0x7465646279746573ull;
}

static inline void lb_sip_word(struct lb_sip* s, __u64 m) {
  s->v3 ^= m;
  lb_sip_round(s);
  s->v0 ^= m;
}

static inline __u64 lb_sip_final(struct lb_sip* s) {
  s->v2 ^= 0xff;
  lb_sip_round(s);
  lb_sip_round(s);
  lb_sip_round(s);
  return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

// The two IPv4 addresses are the last four bytes of mapped ones. ports: sport | dport << 16, as they lie in the packet.
static inline __u64 lb_flow_hash4(const struct lb_hash_key* key, __u32 src, __u32 dst, __u32 ports, __u8 proto) {
  struct lb_sip s;
  lb_sip_init(&s, key);
  lb_sip_word(&s, (__u64)src | (__u64)dst << 32);
  lb_sip_word(&s, (__u64)ports | (__u64)proto << 32 | (__u64)13 << 56);
  return lb_sip_final(&s);
}

// src, dst: the two words of each, as they lie in the packet.
static inline __u64 lb_flow_hash6_words(const struct lb_hash_key* key, const __u64 src[2], const __u64 dst[2],
                                        __u32 ports, __u8 proto) {
  struct lb_sip s;
  lb_sip_init(&s, key);
  lb_sip_word(&s, src[0]);
  lb_sip_word(&s, src[1]);
  lb_sip_word(&s, dst[0]);
  lb_sip_word(&s, dst[1]);
  lb_sip_word(&s, (__u64)ports | (__u64)proto << 32 | (__u64)37 << 56);
  return lb_sip_final(&s);
}
static inline __u64 lb_flow_hash6(const struct lb_hash_key* key, const __u8 src[16], const __u8 dst[16], __u32 ports,
                                  __u8 proto) {
  const __u64 from[2] = {lb_load64(src), lb_load64(src + 8)}, to[2] = {lb_load64(dst), lb_load64(dst + 8)};
  return lb_flow_hash6_words(key, from, to, ports, proto);
}

// src: already masked to the prefix.
static inline __u64 lb_source_hash4(const struct lb_hash_key* key, __u32 src) {
  struct lb_sip s;
  lb_sip_init(&s, key);
  lb_sip_word(&s, (__u64)src | (__u64)4 << 56);
  return lb_sip_final(&s);
}

static inline __u64 lb_source_hash6(const struct lb_hash_key* key, __u64 src_first, __u64 src_last) {
  struct lb_sip s;
  lb_sip_init(&s, key);
  lb_sip_word(&s, src_first);
  lb_sip_word(&s, src_last);
  lb_sip_word(&s, (__u64)16 << 56);
  return lb_sip_final(&s);
}

// Slot of a table of `size` entries: the high 32 bits, scaled. No division, no bias worth naming below 2^20 slots.
static inline __u32 lb_slot(__u64 hash, __u32 size) {
  return (__u32)(((hash >> 32) * size) >> 32);
}
