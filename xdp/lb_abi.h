// What the program lb.bpf.c and the engine that loads it share besides the records of net/abi.h and the flow table of
// net/flow_bucket.h: the values of its maps. C11 (BPF) and C++20.
//
// One program for each interface, all over the same maps. A worker is an RX queue of an interface: worker number =
// lb_xdp_port::first_worker + queue. The last worker, number `workers` - 1, is no queue but the thread in lbd at the
// end of the exception path.
//
// Records are in two halves: entries 0..N-1 and N..2N-1 of each array. A packet reads lb_xdp_config::active once and
// uses that half only; the engine writes the other one, flips, waits for a grace period, and may then write the former.
#pragma once

#include "dataplane/net/abi.h"
#include "dataplane/net/flow_bucket.h"

// Of each half; a snapshot that needs more is refused with a sentence.
#define LB_XDP_LISTENERS 131072u  // slots of the exact listener table
#define LB_XDP_ADDRESSES 65536u   // slots of the owned-address table
#define LB_XDP_RANGES 65536u
#define LB_XDP_BACKENDS (LB_MAX_BACKENDS + 1u)
#define LB_XDP_SERVICES LB_MAX_SERVICES

#define LB_XDP_EMPTY 0xffffffffu  // a mask: the table has no slots

// What a packet must know of its half before it looks at a record. Constant from flip to flip.
struct lb_xdp_half {
  struct lb_hash_key key;
  __u64 generation;
  __u32 listeners_mask;  // slots - 1, or LB_XDP_EMPTY
  __u32 addresses_mask;  // slots - 1, or LB_XDP_EMPTY
  __u32 backends;        // records, [0] included
  __u32 services;        // records
  __u32 ranges;          // records
  __u32 pad[5];
};
LB_ASSERT(sizeof(struct lb_xdp_half) == 64);

// The one value of lb_config.
struct lb_xdp_config {
  __u32 active;           // 0 or 1
  __u32 orphan_after_ms;  // so long after the heartbeat the program passes everything to the kernel; 0: never
  __u64 heartbeat_ms;     // of lbd, CLOCK_MONOTONIC_COARSE
  __u64 started_ms;       // when lbd was started that wrote it, the same clock
  __u32 pid;              // of that lbd
  __u32 pad0;
  __u64 now_ms;  // mode RECORD: what the clock says; 0: the kernel's
  __u32 pad[6];
  struct lb_xdp_half half[2];
};
LB_ASSERT(sizeof(struct lb_xdp_config) == 192);

// A service's record and where its Maglev tables begin in lb_tables, in lines. (table4 and table6 mean nothing here.)
struct lb_xdp_service {
  struct lb_service service;
  __u32 line4, line6;
  __u32 pad[2];
};
LB_ASSERT(sizeof(struct lb_xdp_service) == 32);

// Slot s of a table that begins at line l: line l + s / 32, cell s % 32. Never written while a half names it.
#define LB_XDP_TABLE_CELLS 32u
struct lb_xdp_table_line {
  __u16 backend[LB_XDP_TABLE_CELLS];
};
LB_ASSERT(sizeof(struct lb_xdp_table_line) == 64);

// What a worker counts, and its foreign lookups' allowance. One writer: the CPU that polls the queue; in generic mode
// several, and counters are added to atomically (lb_xdp_port::shared).
struct lb_xdp_worker {
  __u64 counters[LB_COUNT_MAX];
  __u64 lookups_ms;    // when `lookups` was last filled up
  __u64 lookups_left;  // lines of other workers' tables that may be read now
} __attribute__((aligned(64)));

// A worker's log: records of new flows, in the order in which they came, which lbd writes to their places in
// lb_flow_records (xdp/flow_log.h). Line 0 has the ends, record n lies in line 1 + n % LB_XDP_LOG_ENTRIES. When the log
// is full, or several CPUs would write it, a record is written to its place at once.
#define LB_XDP_LOG_ENTRIES 16384u
#define LB_XDP_LOG_LINES (LB_XDP_LOG_ENTRIES + 1u)
#define LB_XDP_LOG_SECOND 8u        // in pad0[0] of a logged record, beside its entry's number: in its second line
#define LB_XDP_LOG_WHERE_SHIFT 40u  // of pad0[0] in its word
union lb_xdp_log_line {
  struct {
    __u64 head;  // records that were ever written; the program's
    __u64 tail;  // records that were ever taken; lbd's
  } ends;
  struct lb_flow_cold record;
  __u64 words[8];
} __attribute__((aligned(64)));
LB_ASSERT(sizeof(union lb_xdp_log_line) == 64);
LB_ASSERT(__builtin_offsetof(struct lb_flow_cold, pad0) == 5 * 8 + LB_XDP_LOG_WHERE_SHIFT / 8);

enum lb_xdp_mode {
  LB_XDP_FORWARD = 0,  // attached to an interface
  LB_XDP_RECORD = 1,   // the same, and writes lb_decision: for tests
  LB_XDP_DRY = 2,      // changes no table and counts nothing, writes lb_decision: for explain. Flows are looked for in
                       // every worker's table, as a packet in mid-flow
};

// Constants of one loaded program: `const volatile struct lb_xdp_port lb_port`, set before it is loaded, so that the
// verifier folds them.
struct lb_xdp_port {
  __u8 mac[6];           // other destinations are the kernel's
  __u16 port;            // PortId
  __u32 first_worker;    // of queue 0
  __u32 queues;          // of the interface; a packet of a higher one counts as one of queue 0
  __u32 workers;         // of the node, the exception path's included
  __u32 lines;           // of each worker's flow table; 0: no tracking
  __u32 former_workers;  // tables in lb_former_flows; 0: there are none
  __u32 former_lines;    // of each
  __u32 shared;          // 1: several CPUs may be in the program for one queue (generic mode)
  __u32 mode;            // enum lb_xdp_mode
  // Generic mode: random; in front of a frame that lbd gives back to the kernel, which runs the program over it again
  // (xdp/given_back.bpf.h). 0: native mode.
  __u64 given_back;
};

// What became of the last packet, in modes RECORD and DRY: the one value of lb_decision.
enum lb_xdp_verdict {
  LB_XDP_NO_VERDICT = 0,
  LB_XDP_FORWARDED = 1,
  LB_XDP_PUNTED = 2,
  LB_XDP_DROPPED = 3,
  LB_XDP_HANDED_OUT = 4,  // to the exception path
};
struct lb_xdp_decision {
  __u32 ignore_flows;  // in, DRY: as if there were no flow tables
  __u32 verdict;       // out, enum lb_xdp_verdict
  __u32 reason;        // enum lb_drop, of a drop
  __u32 service;       // ServiceIndex, LB_NO_SERVICE
  __u32 listener;      // index into Snapshot::listener_names, LB_NO_SERVICE: none
  __u32 slot;          // of the Maglev table; LB_NO_SERVICE: none was read
  __u64 flow_hash;
  __u64 hash;     // that picked the slot
  __u32 backend;  // BackendId; 0: none
  __u32 tracked;  // enum lb_flow_class of the entry that was found; LB_FLOW_FREE: none
  __u32 egress;   // PortId, of a forward
  __u32 pad;
  __u64 generation;
};
LB_ASSERT(sizeof(struct lb_xdp_decision) == 64);
