// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Stage 1: what is this packet? As stages/parse.cc, but for one thing: here a fault is found before it is known whether
// the packet is ours, so that nothing is looked up for the usual packet. What is found to be wrong counts only for a
// packet that is ours, and not before faults that only a lookup tells: listener.bpf.h. What takes memory, loops or an
// answer (options, extension headers, fragments, ICMP errors, echo requests, a last hop) is for the exception path.
#pragma once

#include "dataplane/net/csum.h"
#include "xdp/packet.bpf.h"

static __always_inline __u32 be16(__u32 wire) {
  return __builtin_bswap16((__u16)wire);
}

static __always_inline __u32 parse_tcp(const __u8* l4, const void* end, __u32 bytes, struct packet* p) {
  if (bytes < sizeof(struct lb_tcp) || (const void*)(l4 + sizeof(struct lb_tcp)) > end) return LB_DROP_BadL4Header;
  const __u32 word = load16(l4 + 12);  // data offset its low byte, flags the high one
  const __u32 header = (word & 0xf0) >> 2;
  if (header < sizeof(struct lb_tcp) || header > bytes) return LB_DROP_BadL4Header;
  p->ports = load32(l4);
  p->tcp = (word >> 8 & 0x3f) | (bytes > header ? LB_FLOW_PAYLOAD : 0);
  return GO_ON;
}

static __always_inline __u32 parse_udp(const __u8* l4, const void* end, __u32 bytes, struct packet* p) {
  if (bytes < sizeof(struct lb_udp) || (const void*)(l4 + sizeof(struct lb_udp)) > end) return LB_DROP_BadL4Header;
  const __u32 length = be16(load16(l4 + 4));
  if (length < sizeof(struct lb_udp) || length > bytes) return LB_DROP_BadL4Header;
  p->ports = load32(l4);
  return GO_ON;
}

static __always_inline __u32 parse_l4(const __u8* l4, const void* end, __u32 bytes, struct packet* p) {
  if (p->proto == LB_PROTO_TCP) return parse_tcp(l4, end, bytes, p);
  if (p->proto == LB_PROTO_UDP) return parse_udp(l4, end, bytes, p);
  if (p->proto != (p->family == 4 ? LB_PROTO_ICMP : LB_PROTO_ICMPV6)) return GO_ON;  // without ports; nobody listens
  if (bytes < sizeof(struct lb_icmp) || (const void*)(l4 + sizeof(struct lb_icmp)) > end) return LB_DROP_BadL4Header;
  return lb_is_icmp_error(p->family, *l4) || lb_is_echo_request(p->family, *l4) ? FATE_HAND_OUT : LB_DROP_IcmpOther;
}

// The last check, of a packet in which nothing is wrong so far. What has no hop left is answered, before anything
// remembers it; explain is told of the drop, by rewrite().
static __always_inline __u32 judge_hop(__u32 why, __u32 hop) {
  return why == GO_ON && hop <= 1 && !is_mode(LB_XDP_DRY) ? FATE_HAND_OUT : why;
}

static __always_inline __u32 parse_ipv4(const __u8* ip, const void* end, struct packet* p) {
  const __u32 w0 = load32(ip), w1 = load32(ip + 4), src = load32(ip + 12), dst = load32(ip + 16);
  p->family = 4;
  p->src = mapped(src);
  p->dst = mapped(dst);
  p->tos = w0 >> 8 & 0xff;
  p->hop = load32(ip + 8);
  p->proto = p->hop >> 8 & 0xff;
  p->ip_length = be16(w0 >> 16);
  if ((w0 & 0xff) != 0x45) return (w0 & 0xf0) == 0x40 && (w0 & 15) > 5 ? FATE_UNREAD : LB_DROP_BadIpHeader;
  if (p->ip_length < sizeof(struct lb_ipv4) || p->l3 + p->ip_length > p->length) return LB_DROP_BadIpHeader;
  if (lb_csum_fold64((__u64)w0 + w1 + p->hop + src + dst) != 0xffff) return LB_DROP_BadIpChecksum;
  if ((w1 >> 16 & lb_htons(LB_IPV4_MF | LB_IPV4_OFFSET)) != 0) return FATE_UNREAD;
  if (lb_is_bad_source4(src)) return LB_DROP_BadSource;
  return judge_hop(parse_l4(ip + sizeof(struct lb_ipv4), end, p->ip_length - (__u32)sizeof(struct lb_ipv4), p),
                   p->hop & 0xff);
}

// REQUIRES: the destination was found not to be mapped.
static __always_inline __u32 parse_ipv6(const __u8* ip, const void* end, struct packet* p) {
  const __u32 w0 = load32(ip);
  const __u8* const l4 = ip + sizeof(struct lb_ipv6);
  p->family = 6;
  p->src = (struct address){load64(ip + 8), load64(ip + 16)};
  p->dst = (struct address){load64(ip + 24), load64(ip + 32)};
  p->tos = (w0 << 4 & 0xf0) | (w0 >> 12 & 15);
  p->hop = load32(ip + 4);
  p->proto = p->hop >> 16 & 0xff;
  const __u32 bytes = be16(p->hop);
  p->ip_length = bytes + (__u32)sizeof(struct lb_ipv6);
  if (lb_is_mapped(p->dst.first, p->dst.last)) return FATE_PUNT;  // ::ffff:192.0.2.1 on the wire is not 192.0.2.1
  if ((w0 & 0xf0) != 0x60 || p->l3 + p->ip_length > p->length) return LB_DROP_BadIpHeader;
  if (lb_is_extension((__u8)p->proto)) return FATE_UNREAD;
  if (p->proto == LB_PROTO_ICMPV6 && bytes > 0 && (const void*)(l4 + 1) <= end && lb_is_discovery(*l4))
    return FATE_PUNT;
  if (lb_is_bad_source6(p->src.first, p->src.last)) return LB_DROP_BadSource;
  return judge_hop(parse_l4(l4, end, bytes, p), p->hop >> 24);
}

// RETURNS: GO_ON, or what becomes of it if it is ours. FATE_PUNT: whosever it is.
static __always_inline __u32 parse(struct xdp_md* ctx, struct packet* p) {
  const __u8* const frame = (const __u8*)(long)ctx->data;
  const void* const end = (const void*)(long)ctx->data_end;
  if ((const void*)(frame + ETH_BYTES) > end) return FATE_PUNT;
  p->length = (__u32)(ctx->data_end - ctx->data);
  if ((load64(frame) ^ *(const volatile word64*)&lb_port) << 16 != 0) return FATE_PUNT;
  const __u8* ip = frame + ETH_BYTES;
  p->l3 = ETH_BYTES;
  __u32 type = load16(frame + 12);
#pragma unroll
  for (__u32 tags = 0; tags < LB_MAX_TAGS; tags++) {
    if (type != lb_htons(LB_ETH_VLAN) && type != lb_htons(LB_ETH_QINQ)) break;
    ip += sizeof(struct lb_vlan);
    p->l3 += (__u32)sizeof(struct lb_vlan);
    if ((const void*)ip > end) return FATE_PUNT;
    type = load16(ip - 2);
  }
  p->ip = (void*)ip;
  if (type == lb_htons(LB_ETH_IPV4) && (const void*)(ip + sizeof(struct lb_ipv4)) <= end) return parse_ipv4(ip, end, p);
  if (type == lb_htons(LB_ETH_IPV6) && (const void*)(ip + sizeof(struct lb_ipv6)) <= end) return parse_ipv6(ip, end, p);
  return FATE_PUNT;
}
