// The flow table's line: 64 bytes, eight entries in four rows of 16 bits, the same for both engines. C11 and C++20, no
// allocation, no loops over unknown bounds, for BPF. docs/decisions/006-flow-table.md has the layout's arithmetic,
// docs/flow-table.md the rules. flow_line.h has the vector forms.
//
// One writer a table. Others may read at any time: each 16-bit cell is written at once, and what a reader puts together
// from cells of two moments is harmless: a backend is used only for a packet whose service has it.
//
// Time is milliseconds since boot (CLOCK_MONOTONIC), so that it goes on when the process is replaced.
#pragma once

#include "dataplane/net/abi.h"

#define LB_FLOW_ENTRIES 8u

struct lb_flow_line {
  __u16 tag[LB_FLOW_ENTRIES];      // bits 0-15 of the flow hash
  __u16 tag2[LB_FLOW_ENTRIES];     // bits 16-31
  __u16 backend[LB_FLOW_ENTRIES];  // BackendId
  __u16 state[LB_FLOW_ENTRIES];    // class in the high 3 bits, time in the low 13; 0: the entry is free
} __attribute__((aligned(64)));
LB_ASSERT(sizeof(struct lb_flow_line) == 64);

// Beside every entry, written when a flow begins, read when flows are listed or an eviction is judged. In whatever
// order its words arrive: a reader who finds that check is right has read one flow.
struct lb_flow_cold {
  __u64 hash;  // flow hash; its low half is the entry's tags
  struct lb_addr src, dst;
  lb_be16 sport, dport;
  __u8 proto;
  __u8 pad0[3];
  __u64 start_ms;
  __u64 check;  // lb_flow_cold_check() of the words before
} __attribute__((aligned(64)));
LB_ASSERT(sizeof(struct lb_flow_cold) == 64);

// The hash, which nobody can choose, times what the other words come to: words of two flows give another value.
static inline __u64 lb_flow_cold_check(const __u64 words[7]) {
  const __u64 sum = words[1] * 0x9e3779b97f4a7c15ull + words[2] * 0xc2b2ae3d27d4eb4full +
                    words[3] * 0xff51afd7ed558ccdull + words[4] * 0xd6e8feb86659fd93ull +
                    words[5] * 0xc4ceb9fe1a85ec53ull + words[6] * 0xa0761d6478bd642full;
  return (sum ^ sum >> 32 ^ 0x2545f4914f6cdd1dull) * (words[0] | 1);
}

enum lb_flow_class {
  LB_FLOW_FREE = 0,
  LB_FLOW_ONCE = 1,         // time: of its first packet, in steps of 8 ms; all others: of its last, in steps of 256 ms
  LB_FLOW_CLOSING = 2,      // a FIN went by
  LB_FLOW_RESET = 3,        // an RST went by
  LB_FLOW_UDP = 4,          // datagrams that go on
  LB_FLOW_ESTABLISHED = 5,  // TCP that goes on
  LB_FLOW_STALE = 6,        // its timeout is over: anybody may have the entry, until then it is the flow's
};

#define LB_FLOW_TIME 0x1fffu    // what the time field holds; it wraps after 65 s (once) and 35 min (the others)
#define LB_FLOW_ONCE_SHIFT 3u   // ms to steps
#define LB_FLOW_OTHER_SHIFT 8u  // ms to steps
// Timeouts in steps of the class's own clock: 30 s, 60 s, 60 s, 60 s, 15 min, 0.
#define LB_FLOW_ONCE_TIMEOUT 3750u
#define LB_FLOW_CLOSING_TIMEOUT 235u
#define LB_FLOW_UDP_TIMEOUT 235u
#define LB_FLOW_ESTABLISHED_TIMEOUT 3516u
// A quarter of a second in steps of once: what a burst of spoofed packets must wait for before it counts as a flow.
#define LB_FLOW_PROVEN 32u
// A second in steps of once: a SYN within it is the same one again.
#define LB_FLOW_REPEATED 125u
// 10 s in steps of the others: within it a SYN on an established flow is a stray one.
#define LB_FLOW_ACTIVE 40u
// The longest time between two visits of the sweep that cannot mistake an old entry for a young one.
#define LB_FLOW_SWEEP_MS 16384u

// What the packet is to its flow: flags as in a TCP header, and whether it carries data.
#define LB_FLOW_PAYLOAD 0x40u

static inline __u32 lb_flow_class_of(__u16 state) {
  return (__u32)state >> 13;
}
static inline __u16 lb_flow_state(__u32 flow_class, __u64 now_ms) {
  const __u64 time = now_ms >> (flow_class == LB_FLOW_ONCE ? LB_FLOW_ONCE_SHIFT : LB_FLOW_OTHER_SHIFT);
  return (__u16)(flow_class << 13 | ((__u32)time & LB_FLOW_TIME));
}
// In steps of the class's clock.
static inline __u32 lb_flow_age(__u16 state, __u64 now_ms) {
  const __u32 shift = lb_flow_class_of(state) == LB_FLOW_ONCE ? LB_FLOW_ONCE_SHIFT : LB_FLOW_OTHER_SHIFT;
  return ((__u32)(now_ms >> shift) - state) & LB_FLOW_TIME;
}
static inline __u32 lb_flow_timeout(__u32 flow_class) {
  switch (flow_class) {
    case LB_FLOW_ONCE:
      return LB_FLOW_ONCE_TIMEOUT;
    case LB_FLOW_CLOSING:
    case LB_FLOW_RESET:
      return LB_FLOW_CLOSING_TIMEOUT;
    case LB_FLOW_UDP:
      return LB_FLOW_UDP_TIMEOUT;
    case LB_FLOW_ESTABLISHED:
      return LB_FLOW_ESTABLISHED_TIMEOUT;
    default:
      return 0;
  }
}
static inline int lb_flow_is_live(__u16 state, __u64 now_ms) {
  return state != 0 && lb_flow_age(state, now_ms) < lb_flow_timeout(lb_flow_class_of(state));
}

// Its class, or LB_FLOW_STALE when its timeout is over and nobody has marked it so yet.
static inline __u32 lb_flow_class_now(__u16 state, __u64 now_ms) {
  return lb_flow_is_live(state, now_ms) ? lb_flow_class_of(state) : (__u32)LB_FLOW_STALE;
}

// A first packet: a SYN without ACK, RST and FIN.
static inline int lb_flow_is_syn(__u32 tcp) {
  return (tcp & (LB_TCP_SYN | LB_TCP_ACK | LB_TCP_RST | LB_TCP_FIN)) == LB_TCP_SYN;
}
// What never gets an entry: it ends a flow or is nonsense.
static inline int lb_flow_is_refused(__u32 tcp) {
  return (tcp & LB_TCP_RST) != 0 || (tcp & (LB_TCP_SYN | LB_TCP_FIN)) == (LB_TCP_SYN | LB_TCP_FIN);
}

// The entry's state after a packet that is no first one. tcp: 0 for UDP.
static inline __u16 lb_flow_next(__u16 state, int is_tcp, __u32 tcp, __u64 now_ms) {
  // Nearly every packet: a segment of a flow that goes on.
  if (lb_flow_class_of(state) == LB_FLOW_ESTABLISHED && is_tcp && (tcp & (LB_TCP_RST | LB_TCP_FIN)) == 0)
    return lb_flow_state(LB_FLOW_ESTABLISHED, now_ms);
  const __u32 was = lb_flow_class_now(state, now_ms);
  if (was == LB_FLOW_ONCE && lb_flow_age(state, now_ms) < LB_FLOW_PROVEN) return state;
  if (!is_tcp) return lb_flow_state(LB_FLOW_UDP, now_ms);
  if ((tcp & (LB_TCP_SYN | LB_TCP_FIN)) == (LB_TCP_SYN | LB_TCP_FIN)) return state;
  if ((tcp & LB_TCP_RST) != 0) {
    // A spoofed reset must not make an entry last longer, nor a half-closed flow look open again.
    return was == LB_FLOW_ESTABLISHED ? lb_flow_state(LB_FLOW_RESET, now_ms) : state;
  }
  if ((tcp & LB_TCP_FIN) != 0) return lb_flow_state(LB_FLOW_CLOSING, now_ms);
  // Who has sent a FIN sends no new data: data means that the FIN was not its own.
  if (was == LB_FLOW_CLOSING && (tcp & LB_FLOW_PAYLOAD) == 0) return lb_flow_state(LB_FLOW_CLOSING, now_ms);
  return lb_flow_state(LB_FLOW_ESTABLISHED, now_ms);
}

// What becomes of a first packet on an entry.
enum lb_flow_syn {
  LB_FLOW_SYN_KEEP,    // backend and entry stay as they are
  LB_FLOW_SYN_BEGIN,   // backend stays, the entry begins anew
  LB_FLOW_SYN_CHOOSE,  // a new backend is chosen, the entry begins anew
};
static inline enum lb_flow_syn lb_flow_on_syn(__u16 state, int backend_is_eligible, __u64 now_ms) {
  switch (lb_flow_class_now(state, now_ms)) {
    case LB_FLOW_ONCE:
      // A client repeats an unanswered SYN after a second at the earliest (RFC 6298 section 2.1).
      return backend_is_eligible || lb_flow_age(state, now_ms) < LB_FLOW_REPEATED ? LB_FLOW_SYN_KEEP
                                                                                  : LB_FLOW_SYN_CHOOSE;
    case LB_FLOW_ESTABLISHED:
      // Whoever sends SYNs for others must not make their flows evictable: an eligible backend's entry stays as it is.
      return backend_is_eligible || lb_flow_age(state, now_ms) < LB_FLOW_ACTIVE ? LB_FLOW_SYN_KEEP : LB_FLOW_SYN_CHOOSE;
    default:
      return backend_is_eligible ? LB_FLOW_SYN_BEGIN : LB_FLOW_SYN_CHOOSE;
  }
}

// The two lines where a flow may lie. Each comes from all 64 bits of the hash by an odd multiplication, so that line
// and tags together still tell 2^64 flows apart, and neighbours in the Maglev table are no neighbours here.
#define LB_FLOW_FIRST_FACTOR 0x9e3779b97f4a7c15ull
static inline __u32 lb_flow_first_line(__u64 hash, __u32 lines) {
  return (__u32)(((hash * LB_FLOW_FIRST_FACTOR >> 32) * lines) >> 32);
}
static inline __u32 lb_flow_second_line(__u64 hash, __u32 lines) {
  return (__u32)(((hash * 0xc2b2ae3d27d4eb4full >> 32) * lines) >> 32);
}

// Entries with these tags, bit i for entry i.
static inline __u32 lb_flow_match_plain(const struct lb_flow_line* line, __u32 tags) {
  __u32 found = 0;
  for (__u32 i = 0; i < LB_FLOW_ENTRIES; i++) {
    const int same = line->tag[i] == (__u16)tags && line->tag2[i] == (__u16)(tags >> 16) && line->state[i] != 0;
    found |= (__u32)same << i;
  }
  return found;
}

// The same in 64-bit words, without branches, for engines without vectors.
static inline __u32 lb_flow_zero_lanes(__u64 x) {  // exact, unlike the shorter form that a borrow runs through
  const __u64 low = 0x7fff7fff7fff7fffull;
  const __u64 zero = ~(((x & low) + low) | x | low) >> 15;
  return (__u32)((zero * 0x0001000200040008ull) >> 48) & 15u;  // bits 0, 16, 32, 48 side by side
}
static inline __u32 lb_flow_match_words(const struct lb_flow_line* line, __u32 tags) {
  const __u64 ones = 0x0001000100010001ull;
  const __u64 tag = (tags & 0xffffu) * ones, tag2 = (tags >> 16) * ones;
  __u32 found = 0;
  for (__u32 half = 0; half < 2; half++) {
    __u64 a, b, state;
    __builtin_memcpy(&a, line->tag + 4 * half, 8);
    __builtin_memcpy(&b, line->tag2 + 4 * half, 8);
    __builtin_memcpy(&state, line->state + 4 * half, 8);
    found |= (lb_flow_zero_lanes((a ^ tag) | (b ^ tag2)) & ~lb_flow_zero_lanes(state) & 15u) << (4 * half);
  }
  return found;
}

// How much harm it does to give an entry to another flow; less is better. Within each range the oldest comes first.
#define LB_FLOW_HARM_ONCE 0x2000u     // below: free, or its timeout is over: none
#define LB_FLOW_HARM_CLOSING 0x4000u  // below: seen once
#define LB_FLOW_HARM_FLOW 0x8000u     // below: closing. From here on: a flow that goes on, whose harm must be judged
static inline __u32 lb_flow_harm(__u16 state, __u64 now_ms) {
  const __u32 what = lb_flow_class_of(state);
  if (state == 0) return 0;
  const __u32 age = lb_flow_age(state, now_ms), youth = LB_FLOW_TIME - age;
  if (age >= lb_flow_timeout(what)) return youth;
  if (what == LB_FLOW_ONCE) return LB_FLOW_HARM_ONCE + youth;
  if (what == LB_FLOW_CLOSING || what == LB_FLOW_RESET) return LB_FLOW_HARM_CLOSING + youth;
  return LB_FLOW_HARM_FLOW + youth;
}
// harm << 16 | entry, of the least harmful one, the first of equals.
static inline __u32 lb_flow_victim_plain(const struct lb_flow_line* line, __u64 now_ms) {
  __u32 best = 0xffffffffu;
  for (__u32 i = 0; i < LB_FLOW_ENTRIES; i++) {
    const __u32 harm = lb_flow_harm(line->state[i], now_ms) << 16 | i;
    if (harm < best) best = harm;
  }
  return best;
}
