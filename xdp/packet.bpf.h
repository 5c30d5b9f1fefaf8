// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// What the stages of lb.bpf.c hand on: what is known of a packet, the half of the records that counts for it, and its
// fate. And how bytes are read: as wide words, since the verifier allows unaligned ones in packets and map values,
// while the compiler would make single bytes of what the shared headers read from byte pointers.
#pragma once

#include "dataplane/net/hash.h"
#include "dataplane/net/rules.h"
#include "xdp/lb_maps.bpf.h"

#define ETH_BYTES ((__u32)sizeof(struct lb_eth))
#define NONE 0xffffffffu

// A function that the verifier looks at once and by itself, not for each way to it. It knows nothing of the pointers
// that such a one gets but how much memory is behind them, if any.
#define APART __attribute__((noinline))

typedef __u16 __attribute__((may_alias)) word16;
typedef __u32 __attribute__((may_alias)) word32;
typedef __u64 __attribute__((may_alias)) word64;

static __always_inline __u32 load16(const void* p) {
  return *(const word16*)p;
}
static __always_inline __u32 load32(const void* p) {
  return *(const word32*)p;
}
static __always_inline __u64 load64(const void* p) {
  return *(const word64*)p;
}

// Drop reasons (enum lb_drop) are fates, too.
enum fate {
  GO_ON = 0,
  FATE_PUNT = LB_COUNT_MAX,
  FATE_HAND_OUT,  // to the exception path
  FATE_UNREAD,    // the same, before anything of it was judged but what an IP header must be
  FATE_FORWARD,
};
_Static_assert(LB_DROP_FIRST > 0, "0 is no drop");

// An address as its two words, mapped.
struct address {
  __u64 first, last;
};
static __always_inline struct address mapped(__u32 ipv4) {
  return (struct address){0, 0xffff0000ull | (__u64)ipv4 << 32};
}
static __always_inline int is_address(const struct lb_addr* a, struct address b) {
  return ((load64(a->b) ^ b.first) | (load64(a->b + 8) ^ b.last)) == 0;
}
static __always_inline __u32 hash_address(struct address a) {
  return lb_address_hash_words((__u32)a.first, (__u32)(a.first >> 32), (__u32)a.last, (__u32)(a.last >> 32));
}

struct packet {
  struct address src, dst;
  __u32 ports;      // source | destination << 16, as they lie in the packet; 0 when the protocol has none
  __u32 proto;      // of the L4 header
  __u32 family;     // 4 or 6
  __u32 tcp;        // flags of the TCP header, LB_FLOW_PAYLOAD; 0: no TCP
  __u32 l3;         // offset of the IP header
  __u32 ip_length;  // bytes of the IP packet
  __u32 length;     // of the frame as it came in
  __u32 hop;        // the word of the IP header in which TTL or hop limit is
  __u32 tos;        // TOS or traffic class
  __u32 service, listener;
  __u32 backend;
  __u64 hash;
  void* ip;
};

// The records that count for a packet.
struct world {
  const struct lb_xdp_config* config;
  const struct lb_xdp_half* half;
  __u32 active;  // of which half of the arrays
  __u32 worker;
  __u64 now_ms;
};

static __always_inline int is_mode(__u32 mode) {
  return lb_port.mode == mode;
}

#define LOOKUP(map, index)             \
  ({                                   \
    const __u32 at_ = (index);         \
    bpf_map_lookup_elem(&(map), &at_); \
  })

static __always_inline struct lb_xdp_service* service_of(__u32 active, __u32 service) {
  return LOOKUP(lb_services, active * LB_XDP_SERVICES + service);
}
static __always_inline struct lb_backend* backend_of(__u32 active, __u32 backend) {
  return LOOKUP(lb_backends, active * LB_XDP_BACKENDS + backend);
}

// Where somebody wants to know how it was decided: told as soon as it is known, so that no packet has to remember it.
static __always_inline void note_choice(__u64 hash) {
  struct lb_xdp_decision* d = is_mode(LB_XDP_FORWARD) ? 0 : LOOKUP(lb_decision, 0);
  if (d != 0) d->hash = hash;
}
static __always_inline void note_tracked(__u32 flow_class) {
  struct lb_xdp_decision* d = is_mode(LB_XDP_FORWARD) ? 0 : LOOKUP(lb_decision, 0);
  if (d != 0) d->tracked = flow_class;
}
