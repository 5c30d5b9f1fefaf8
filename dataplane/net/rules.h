// Small rules by which every engine judges packets and backends, so that none of them has its own. C11 (BPF) and C++20,
// no loops, no allocation. Words of addresses are as they lie in the packet.
#pragma once

#include "dataplane/net/abi.h"

#define LB_MAX_TAGS 2u  // VLAN tags in front of an IP packet that may be ours
// IPv6 extension headers that are walked over, and the bytes of all of them.
#define LB_MAX_EXTENSIONS 8u
#define LB_MAX_EXTENSION_BYTES 256u

// IPv6 extension headers that are walked over (RFC 8200 section 4; mobility: RFC 6275 section 6.1).
static inline int lb_is_extension(__u8 next) {
  return next == LB_PROTO_HOPOPTS || next == LB_PROTO_ROUTING || next == LB_PROTO_FRAGMENT || next == LB_PROTO_AH ||
         next == LB_PROTO_DSTOPTS || next == LB_PROTO_MOBILITY;
}

// ICMPv6 types of neighbour discovery and multicast listener discovery: the kernel's, whatever the destination.
static inline int lb_is_discovery(__u8 icmp6_type) {
  return (icmp6_type >= 130 && icmp6_type <= 137) || icmp6_type == 143;
}

// Unreachable (fragmentation needed among them), time exceeded, parameter problem: RFC 792. The same and packet too
// big: RFC 4443.
static inline int lb_is_icmp_error(__u32 family, __u8 type) {
  return family == 4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

static inline int lb_is_echo_request(__u32 family, __u8 type) {
  return type == (family == 4 ? 8 : 128);
}

static inline int lb_is_mapped(__u64 first, __u64 last) {
  return first == 0 && (__u32)last == 0xffff0000u;
}

// Sources that no client can have, apart from our own addresses.
static inline int lb_is_bad_source4(__u32 src) {
  const __u32 first = src & 0xff;
  return first == 0 || first == 127 || (first >= 224 && first < 240) || src == 0xffffffffu;
}
static inline int lb_is_bad_source6(__u64 first, __u64 last) {
  if ((first & 0xff) == 0xff) return 1;  // multicast
  return first == 0 &&
         (last == 0 || last == 1ull << 56 || (__u32)last == 0xffff0000u);  // unspecified, loopback, mapped
}

// By dsr only whom a frame reaches without a tunnel. While the next hop is not known nothing is known of the link
// either.
static inline int lb_is_within_reach(const struct lb_service* service, const struct lb_backend* b, __u32 family) {
  if (service->forward != LB_FORWARD_DSR) return 1;
  if (((b->flags & LB_BACKEND_IPV6) != 0) != (family == 6)) return 0;
  return (b->flags & LB_BACKEND_ON_LINK) != 0 || (b->flags & LB_BACKEND_RESOLVED) == 0;
}

// May it get new flows?
static inline int lb_is_eligible(const struct lb_service* service, const struct lb_backend* b, __u32 family) {
  return (b->flags & LB_BACKEND_READY) != 0 && b->pool == service->pool && lb_is_within_reach(service, b, family);
}

// May a backend keep a flow of that service?
enum lb_serves {
  LB_SERVES_YES,
  LB_SERVES_NOT,         // it was removed and its time is over, or is in maintenance
  LB_SERVES_OTHER_POOL,  // the service got another pool, or the entry is another flow's by its tags
  LB_SERVES_WRONG_MODE,  // dsr, and it is not on link, or of the other family
};
static inline enum lb_serves lb_serves(const struct lb_service* service, const struct lb_backend* b, __u32 family) {
  if ((b->flags & LB_BACKEND_SERVING) == 0) return LB_SERVES_NOT;
  if (b->pool != service->pool && b->pool != service->former_pool) return LB_SERVES_OTHER_POOL;
  return lb_is_within_reach(service, b, family) ? LB_SERVES_YES : LB_SERVES_WRONG_MODE;
}

// Lookups in other workers' flow tables read lines that nothing has brought near: 4 M lines a second are about 4 % of a
// core, and enough for every flow of a full node to come over within the first second after a restart.
#define LB_FOREIGN_LINES_PER_MS 4000u
#define LB_FOREIGN_MOST_LINES 2000000u
