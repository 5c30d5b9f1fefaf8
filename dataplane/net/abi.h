// What the control plane hands to an engine, as C11 (BPF) and C++20: flat records that the DPDK engine reads in place
// and an XDP engine can copy into maps. Padding is explicit and zero. Ports are network order where they are compared
// with packet bytes (lb_be16) and host order (__u16) where they are compared by magnitude.
//
// Addresses are 16 bytes, network order; IPv4 is mapped (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so that there is
// one code path for both families.
#pragma once

#include "dataplane/net/headers.h"

#define LB_MAX_BACKENDS 65535u  // ids 1..65535; 0 means none
#define LB_MAX_SERVICES 16384u  // service indices 0..16383
#define LB_MAX_PORTS 16u        // ports of one node
#define LB_MAX_WORKERS 64u      // poll-mode workers of one node
#define LB_NO_SERVICE 0xffffffffu

struct lb_addr {
  __u8 b[16];
};
LB_ASSERT(sizeof(struct lb_addr) == 16);

enum lb_forward { LB_FORWARD_DSR = 0, LB_FORWARD_IPIP = 1 };
enum lb_schedule { LB_SCHEDULE_MAGLEV = 0, LB_SCHEDULE_SOURCE_HASH = 1 };

// One slot of the exact listener table: open addressing, linear probing from lb_listener_hash() & mask, at most
// LB_MAX_PROBE slots are looked at (the compiler of the snapshot grows the table until that holds).
#define LB_MAX_PROBE 8u
struct lb_listener_slot {
  struct lb_addr addr;
  lb_be16 port;
  __u8 proto;  // 0: slot is empty
  __u8 pad0;
  __u32 service;
  __u32 listener;  // index into the snapshot's listener names; what explain reports
  __u32 pad1;
};
LB_ASSERT(sizeof(struct lb_listener_slot) == 32);

// One slot of the owned-address table, same addressing with lb_address_hash(). Ranges of an address are
// ranges[range_start .. range_start + range_count): port ranges first, any-port entries after them.
#define LB_ADDR_USED 1u
#define LB_ADDR_KERNEL 2u  // what no listener wants is punted, not dropped
#define LB_ADDR_REJECT 4u  // what no listener wants is answered: RST, or port unreachable
struct lb_address_slot {
  struct lb_addr addr;
  __u32 range_start;
  __u32 range_count;
  __u8 flags;  // LB_ADDR_*; 0: slot is empty
  __u8 pad[7];
};
LB_ASSERT(sizeof(struct lb_address_slot) == 32);

struct lb_port_range {
  __u16 first;  // host order, inclusive
  __u16 last;   // host order, inclusive
  __u8 proto;
  __u8 any;  // 1: this is an any-port listener (first 0, last 65535)
  __u16 pad;
  __u32 service;
  __u32 listener;
};
LB_ASSERT(sizeof(struct lb_port_range) == 16);

struct lb_service {
  __u16 table4;       // index of the Maglev table for flows to an IPv4 listener
  __u16 table6;       // the same for an IPv6 listener: another table only with dsr, where families must agree
  __u32 table_size;   // slots of both, a prime; 0: no service has this index
  __u16 pool;         // number of its pool in this snapshot, from 1: a tracked flow's backend must be of this pool
  __u16 former_pool;  // the pool it used before, whose flows it still keeps; 0: none
  __u8 forward;       // enum lb_forward
  __u8 schedule;      // enum lb_schedule
  __u8 prefix4;       // source-hash: bits of an IPv4 source that count, 1..32
  __u8 prefix6;       // source-hash: bits of an IPv6 source that count, 1..128
};
LB_ASSERT(sizeof(struct lb_service) == 16);

// Everything that forwarding to one backend needs, in one cache line; index is the backend id, entry 0 is never used.
// head: the front of a frame to it as it will be sent, Ethernet header and the outer header of `ipip`, but for what the
// packet decides; net/outer.h fills and uses it.
#define LB_BACKEND_RESOLVED 1u  // next hop known: dst_mac, src_mac, port, mtu are valid
#define LB_BACKEND_IPV6 2u      // outer family
#define LB_BACKEND_ON_LINK 4u   // the next hop is the backend itself, no gateway between: dsr is possible
#define LB_BACKEND_SERVING 8u   // keeps the flows that it has: every backend of a pool, drained and leaving ones too
#define LB_BACKEND_READY 16u    // may get new flows: weight > 0, not drained, not leaving, next hop known
#define LB_HEAD_MAX 54u         // Ethernet and IPv6
struct lb_backend {
  __u8 head[LB_HEAD_MAX];  // MACs of next hop and egress port, type, outer header from our address to the backend's
  __u16 sum;               // one's complement sum of an IPv4 outer header without TOS, length and checksum
  lb_be16 vlan;            // VLAN that the frame leaves in, 1..4094, as a tag says it (IEEE 802.1Q); 0: untagged
  __u16 mtu;               // of egress and route: largest IP packet in bytes
  __u16 pool;              // number of its pool in this snapshot, from 1
  __u8 flags;              // LB_BACKEND_*
  __u8 port;               // egress port, index into the configured ports
};
LB_ASSERT(sizeof(struct lb_backend) == 64);

struct lb_hash_key {
  __u64 k0;  // first 8 bytes of the 16-byte key, little endian (as in the SipHash paper)
  __u64 k1;
};
LB_ASSERT(sizeof(struct lb_hash_key) == 16);

// Index hash of the two open-addressed tables above. Not keyed: keys are the operator's addresses, and the table's
// builder bounds every probe sequence, so that a client who picks its destination can cost at most LB_MAX_PROBE
// compares.
#define LB_MIX_FACTOR 0x9e3779b1u
#define LB_ADDRESS_SEED 0x811c9dc5u
static inline __u32 lb_mix32(__u32 h, __u32 v) {
  h = (h ^ v) * LB_MIX_FACTOR;
  return h ^ (h >> 15);
}
static inline __u32 lb_load32(const __u8* p) {
  return (__u32)p[0] | (__u32)p[1] << 8 | (__u32)p[2] << 16 | (__u32)p[3] << 24;
}
// The address as four words, as they lie in it; a constant first three, as of IPv4, cost nothing.
static inline __u32 lb_address_hash_words(__u32 w0, __u32 w1, __u32 w2, __u32 w3) {
  return lb_mix32(lb_mix32(lb_mix32(lb_mix32(LB_ADDRESS_SEED, w0), w1), w2), w3);
}
static inline __u32 lb_address_hash(const struct lb_addr* a) {
  return lb_address_hash_words(lb_load32(a->b), lb_load32(a->b + 4), lb_load32(a->b + 8), lb_load32(a->b + 12));
}
static inline __u32 lb_listener_hash(__u32 address_hash, lb_be16 port, __u8 proto) {
  return lb_mix32(address_hash, (__u32)port | (__u32)proto << 16);
}

// Every counter of a worker: the verdict counters first, then the drop reasons, then what stages tell besides.
//   X(Enumerator, name in JSON / CLI / metrics, help)
// Exactly one of forwarded, answered, punted, handed_out and the drop reasons is counted for every packet that a worker
// gets, but for those it holds (`held`, how many just now):
//   rx_packets + handed_in = forwarded + answered + punted + sum of LB_DROP_COUNTERS + handed_out + held, per worker,
//   at batch boundaries.
// Over all workers, handed_out - handed_in are in the rings between them.
#define LB_DROP_COUNTERS(X)                                                                                          \
  X(BadIpHeader, "bad_ip_header", "owned, IP version, header length or total length does not fit the frame")         \
  X(BadIpChecksum, "bad_ip_checksum", "owned, IPv4 header checksum is wrong")                                        \
  X(BadL4Header, "bad_l4_header", "owned, TCP, UDP or ICMP header is cut short or its lengths contradict")           \
  X(BadExtension, "bad_extension", "owned, more than 8 IPv6 extension headers, more than 256 bytes, or cut short")   \
  X(BadSource, "bad_source", "owned, a source that no client can have: ours, loopback, multicast, broadcast or 0/8") \
  X(FragmentTiny, "fragment_tiny", "owned, a first fragment without the whole L4 header")                            \
  X(FragmentOverlap, "fragment_overlap", "owned, a fragment of a datagram of which two fragments overlap")           \
  X(FragmentUnmatched, "fragment_unmatched", "owned, a fragment whose first one did not come in time")               \
  X(FragmentFull, "fragment_full", "owned, a fragment before its first one, and there was no room to hold it")       \
  X(IcmpUnmatched, "icmp_unmatched", "owned, an ICMP error that quotes no whole TCP or UDP flow of the address")     \
  X(IcmpOther, "icmp_other", "owned, ICMP that is neither an error nor an echo request")                             \
  X(EchoLimited, "echo_limited", "owned, an echo request beyond the rate of answers")                                \
  X(NoListener, "no_listener", "to an address of ours on which no service listens with that protocol and port")      \
  X(NoBackend, "no_backend", "the service has no eligible backend")                                                  \
  X(NoNextHop, "no_next_hop", "a tracked flow's backend has no resolved next hop at this moment")                    \
  X(TtlExpired, "ttl_expired", "TTL or hop limit would reach 0 here, and no answer is due")                          \
  X(TooBig, "too_big", "too large for the way to the backend after encapsulation, and no answer is due")             \
  X(NoHeadroom, "no_headroom", "no room in front of the packet for the outer header")                                \
  X(NoExceptionPath, "no_exception_path", "for the kernel, but the port has no way to hand it over")                 \
  X(ExceptionFull, "exception_full", "for the kernel, and the ring to the port's twin was full")                     \
  X(HandoffFull, "handoff_full", "of another worker's flow, and the ring to that worker was full")                   \
  X(TxFull, "tx_full", "the egress queue did not accept it")

// What the flow table did; none of them is a verdict. docs/flow-table.md.
#define LB_FLOW_COUNTERS(X)                                                                                       \
  X(FlowHits, "flow_hits", "packets whose flow was found and kept its backend")                                   \
  X(FlowsInserted, "flows_inserted", "flows that got an entry")                                                   \
  X(FlowsUntracked, "flows_untracked", "new flows that found every entry in use; forwarded by hash alone")        \
  X(FlowsEvictedOnce, "flows_evicted_once", "entries of flows seen once, given to others before their time")      \
  X(FlowsEvictedClosing, "flows_evicted_closing", "entries of closing flows, given to others before their time")  \
  X(FlowsEvictedAgreeing, "flows_evicted_agreeing",                                                               \
    "entries of flows that the table would send the same way today, given to others before their time")           \
  X(FlowsMovedBackend, "flows_moved_backend", "tracked flows chosen again: their backend serves no more")         \
  X(FlowsMovedPool, "flows_moved_pool", "tracked flows chosen again: their backend is not of the service's pool") \
  X(FlowsMovedMode, "flows_moved_mode", "tracked flows chosen again: their backend cannot be reached by dsr")     \
  X(ForeignFound, "foreign_found", "flows found in the table of another worker, or of a former lbd, and copied")  \
  X(ForeignSkipped, "foreign_skipped", "packets of unknown flows not looked for in other tables: over the rate")

// What was done about fragments and errors; none of them is a verdict.
#define LB_EDGE_COUNTERS(X)                                                                                          \
  X(FragmentsHeld, "fragments_held", "fragments that came before their first one, and waited for it")                \
  X(PiecesSent, "pieces_sent", "fragments made of forwarded packets that were too large for the way to the backend") \
  X(ErrorsForwarded, "icmp_errors_forwarded", "ICMP errors sent to the backend of the flow that they quote")

#define LB_COUNTERS(X)                                                                           \
  X(RxPackets, "rx_packets", "packets received from the ports")                                  \
  X(RxBytes, "rx_bytes", "bytes received, Ethernet header included")                             \
  X(Forwarded, "forwarded", "packets accepted by the egress queue")                              \
  X(ForwardedBytes, "forwarded_bytes", "bytes sent, Ethernet and outer headers included")        \
  X(Answered, "answered", "packets answered: echo replies, ICMP errors, resets")                 \
  X(Punted, "punted", "packets left to the kernel unchanged")                                    \
  X(HandedOut, "handed_out", "packets received for another worker's flow and handed over to it") \
  X(HandedIn, "handed_in", "packets that other workers received and handed over")                \
  X(Held, "held", "fragments that wait for their first one just now")                            \
  LB_DROP_COUNTERS(X)                                                                            \
  LB_FLOW_COUNTERS(X)                                                                            \
  LB_EDGE_COUNTERS(X)

enum lb_counter {
#define X(id, name, help) LB_COUNT_##id,
  LB_COUNTERS(X)
#undef X
      LB_COUNT_MAX
};

// A drop reason is a counter id: counting and naming need no table.
enum lb_drop {
#define X(id, name, help) LB_DROP_##id = LB_COUNT_##id,
  LB_DROP_COUNTERS(X)
#undef X
};
#define LB_DROP_FIRST LB_COUNT_BadIpHeader
#define LB_DROP_LAST LB_COUNT_TxFull

// Packets and bytes of one service or one backend on one worker.
struct lb_traffic {
  __u64 packets;
  __u64 bytes;
};
LB_ASSERT(sizeof(struct lb_traffic) == 16);
