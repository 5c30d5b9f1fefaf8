// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// The balancer in the kernel's XDP hook: the pipeline of dataplane/stages for a batch of one packet, with the same
// verdicts, bytes, counters and flow table. One program for each interface, all over the same maps (lb_maps.bpf.h).
//
//   parse      what is this packet?                          parse.bpf.h
//   listener   is it ours, and for which service?            listener.bpf.h
//   flow       has its flow a backend already?               flow.bpf.h, flow_rare.bpf.h
//   choose     tuple -> number, and the backend by it        choose.bpf.h
//   flow       and the next packet finds it                  flow.bpf.h
//   rewrite    TTL, outer header                             rewrite.bpf.h
//   next_hop   Ethernet header, the way to the wire          next_hop.bpf.h
//   count      its verdict, once                             count.bpf.h
//
// What is not ours, or the kernel's, passes as it came. What is ours but not BPF's to do goes to the exception path:
// the pipeline itself, in lbd. An lbd that gave no sign for orphan_after_ms takes the program out of the way.
#include "xdp/lb_maps.bpf.h"

#include "xdp/choose.bpf.h"
#include "xdp/count.bpf.h"
#include "xdp/flow.bpf.h"
#include "xdp/given_back.bpf.h"
#include "xdp/listener.bpf.h"
#include "xdp/next_hop.bpf.h"
#include "xdp/packet.bpf.h"
#include "xdp/parse.bpf.h"
#include "xdp/rewrite.bpf.h"

// The clock of flow_clock_ms().
static __always_inline __u64 clock_ms(const struct lb_xdp_config* config) {
  if (is_mode(LB_XDP_RECORD) && config->now_ms != 0) return config->now_ms;
  return bpf_ktime_get_coarse_ns() / 1000000;
}

static __always_inline int is_orphan(const struct lb_xdp_config* config, __u64 now_ms) {
  return config->orphan_after_ms != 0 && now_ms > config->heartbeat_ms + config->orphan_after_ms;
}

// Mode DRY: as a packet in mid-flow would find it in any table.
static __always_inline __u32 peek_flow(const struct world* world, const struct lb_xdp_service* service,
                                       struct packet* p) {
  const struct lb_xdp_decision* d = LOOKUP(lb_decision, 0);
  if (d == 0 || d->ignore_flows) return GO_ON;
  const __u32 found = look_elsewhere(world, service, p, NONE);
  if (found == 0) return GO_ON;
  p->backend = found >> 16;
  note_tracked(lb_flow_class_of((__u16)found));
  const struct lb_backend* b = backend_of(world->active, p->backend);
  return b == 0 || (b->flags & LB_BACKEND_RESOLVED) == 0 ? LB_DROP_NoNextHop : GO_ON;
}

// Which backend it goes to.
static __always_inline __u32 find_backend(const struct world* world, struct lb_xdp_worker* w,
                                          const struct lb_xdp_service* service, struct packet* p, struct flow* f) {
  if (lb_port.lines == 0) return choose(world, service, p);
  __u32 why;
  if (is_mode(LB_XDP_DRY)) {
    why = peek_flow(world, service, p);
    return why == GO_ON && p->backend == 0 ? choose(world, service, p) : why;
  }
  why = find_flow(world, w, service, p, f);
  if (why != GO_ON) return why;
  if (f->found == FOUND_NOTHING || f->found == FOUND_CHANGE) {
    why = choose(world, service, p);
    if (why != GO_ON) return why;
  }
  if (f->found != FOUND_FLOW) keep_flow(world, w, p, f);
  return GO_ON;
}

static __always_inline __u32 balance(struct xdp_md* ctx, const struct world* world, struct lb_xdp_worker* w,
                                     struct packet* p, __u32* egress, __u64* bytes) {
  __u32 why = parse(ctx, p);
  // Not an IP packet to us, whatever there is to say of it.
  if (why == FATE_PUNT) return why;
  why = find_listener(world, why, p);
  if (why != GO_ON) return why;
  hash_flow(world, p);
  struct flow f = {};
  if (lb_port.lines != 0 && !is_mode(LB_XDP_DRY) && !touch_flow(world, p, &f)) return LB_DROP_NoBackend;
  if (is_own_source(world, p)) return LB_DROP_BadSource;
  const struct lb_xdp_service* service = service_of(world->active, p->service);
  if (service == 0) return LB_DROP_NoBackend;
  why = find_backend(world, w, service, p, &f);
  if (why != GO_ON) return why;
  const struct lb_backend* b = backend_of(world->active, p->backend);
  if (b == 0) return LB_DROP_NoBackend;
  __u8* frame = 0;
  __u32 outer = 0;
  why = rewrite(ctx, p, &service->service, b, &frame, &outer);
  if (why != GO_ON) return why;
  if (outer == 0) set_next_hop(frame, p, b);
  if (b->vlan != 0 && !push_tag(ctx, b->vlan)) return LB_DROP_NoHeadroom;
  *egress = b->port;
  *bytes = ETH_BYTES + lb_tag_bytes(b) + outer + p->ip_length;
  return FATE_FORWARD;
}

SEC("xdp")
int lbd_balance(struct xdp_md* ctx) {
  struct world world = {.config = LOOKUP(lb_config, 0)};
  if (world.config == 0) return XDP_PASS;
  world.now_ms = clock_ms(world.config);
  if (!is_mode(LB_XDP_DRY) && is_orphan(world.config, world.now_ms)) return XDP_PASS;
  world.active = *(const volatile __u32*)&world.config->active & 1;
  world.half = &world.config->half[world.active];
  const __u32 queue = ctx->rx_queue_index;
  world.worker = lb_port.first_worker + (queue < lb_port.queues ? queue : 0);
  struct lb_xdp_worker* w = LOOKUP(lb_workers, world.worker);
  if (w == 0) return XDP_PASS;
  note_choice(0);
  note_tracked(LB_FLOW_FREE);
  struct packet p = {.service = LB_NO_SERVICE, .listener = LB_NO_SERVICE};
  __u32 egress = 0;
  __u64 bytes = 0;
  p.length = (__u32)(ctx->data_end - ctx->data);
  const __u32 fate = balance(ctx, &world, w, &p, &egress, &bytes);
  if (fate == FATE_HAND_OUT && lb_is_given_back(ctx, lb_port.given_back)) return XDP_PASS;
  return finish(&world, w, &p, fate, egress, bytes);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
