// Which frames are lbd's, for the two kernel-side filters of a port (owned_filter.bpf.c, owned_tc.bpf.c): to the
// port's MAC, IPv4 or IPv6 behind up to two VLAN tags, to an address of the set; but ND and MLD (ICMPv6 130-137, 143)
// are the kernel's, so that its interface keeps working.
#pragma once

#include "dataplane/net/abi.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define LB_MAX_OWNED 65536

// Written by lbd, one entry per owned address, IPv4 mapped; the value means nothing.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, LB_MAX_OWNED);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct lb_addr);
  __type(value, __u8);
} owned SEC(".maps");

// Ether type behind at most two tags; *offset moves behind them. 0: the frame is cut short.
static __always_inline __u16 owned_ether_type(const __u8* data, const __u8* end, __u32* offset) {
  if (data + sizeof(struct lb_eth) > end) return 0;
  __u16 type = lb_ntohs(((const struct lb_eth*)data)->type);
  *offset = sizeof(struct lb_eth);
#pragma unroll
  for (int i = 0; i < 2; i++) {
    if (type != LB_ETH_VLAN && type != LB_ETH_QINQ) break;
    const struct lb_vlan* tag = (const struct lb_vlan*)(data + *offset);
    if ((const __u8*)(tag + 1) > end) return 0;
    type = lb_ntohs(tag->type);
    *offset += sizeof(struct lb_vlan);
  }
  return type;
}

static __always_inline int owned_is_nd_or_mld(__u8 type) {
  return (type >= 130 && type <= 137) || type == 143;
}

// MLD comes behind a hop-by-hop header with a router alert (RFC 3810 section 5): one such header is looked behind.
static __always_inline int owned_kernel_icmp6(const struct lb_ipv6* ip, const __u8* end) {
  const __u8* l4 = (const __u8*)(ip + 1);
  __u8 next = ip->next;
  if (next == LB_PROTO_HOPOPTS) {
    if (l4 + 8 > end || l4[1] != 0) return 0;
    next = l4[0];
    l4 += 8;
  }
  if (next != LB_PROTO_ICMPV6 || l4 + 1 > end) return 0;
  return owned_is_nd_or_mld(*l4);
}

static __always_inline int owned_has(const struct lb_addr* address) {
  return bpf_map_lookup_elem(&owned, address) != 0;
}

// REQUIRES: the frame is to the port's own MAC.
static __always_inline int is_owned(const __u8* data, const __u8* end) {
  __u32 offset = 0;
  struct lb_addr address = {};
  __u16 type = owned_ether_type(data, end, &offset);
  if (type == LB_ETH_IPV4) {
    const struct lb_ipv4* ip = (const struct lb_ipv4*)(data + offset);
    if ((const __u8*)(ip + 1) > end) return 0;
    address.b[10] = address.b[11] = 0xff;
    __builtin_memcpy(address.b + 12, ip->dst, 4);
    return owned_has(&address);
  }
  if (type == LB_ETH_IPV6) {
    const struct lb_ipv6* ip = (const struct lb_ipv6*)(data + offset);
    if ((const __u8*)(ip + 1) > end) return 0;
    if (owned_kernel_icmp6(ip, end)) return 0;
    __builtin_memcpy(address.b, ip->dst, 16);
    return owned_has(&address);
  }
  return 0;
}
