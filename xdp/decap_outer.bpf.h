// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Reads the outer headers of a tunnel packet. Packet bytes are copied out by bpf_skb_load_bytes, which works on any
// layout of the buffer, so nothing has to be pulled into its linear part.
#pragma once

enum { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

#define OUTER_NO_TUNNEL (-1)
#define OUTER_TUNNEL (-2)  // other values are the counter of what is wrong with it: src and dst are valid all the same
#define OUTER_MAX_EXTENSIONS 4

struct tunnel {
  struct lb_addr src;
  struct lb_addr dst;
  __u32 bytes;         // from the outer IP header to the inner one
  __u32 packet_bytes;  // of the outer IP packet, as its header says
  __u8 outer_v6;
  __u8 inner_v6;
  __u8 gue;
  __u8 ecn;  // of the outer header
};

// One's complement sum over the header, options included; a right one gives 0.
static __always_inline int ipv4_checksum_ok(struct __sk_buff* skb, __u32 bytes) {
  __u8 header[60] = {};  // 15 words at most
  bytes &= 0x3c;
  if (bytes < sizeof(struct lb_ipv4)) return 0;
  if (bpf_skb_load_bytes(skb, sizeof(struct lb_eth), header, bytes) != 0) return 0;
  const __s64 sum = bpf_csum_diff(0, 0, (__be32*)header, sizeof header, 0);
  return sum >= 0 && lb_csum_fold((__u32)sum) == 0xffff;
}

// The UDP header and GUE at t->bytes. fragment: a first one, whose lengths speak of the whole datagram.
static __always_inline int read_gue(struct __sk_buff* skb, struct tunnel* t, int fragment) {
  const __u32 at = sizeof(struct lb_eth) + t->bytes;
  struct lb_udp udp;
  if (bpf_skb_load_bytes(skb, at, &udp, sizeof udp) != 0) return OUTER_NO_TUNNEL;
  if (udp.dport != lb_htons(LB_GUE_PORT)) return OUTER_NO_TUNNEL;
  if (fragment) return LB_DECAP_OuterFragment;
  const __u32 udp_bytes = lb_ntohs(udp.length);
  if (udp_bytes < sizeof udp + sizeof(struct lb_gue)) return LB_DECAP_OuterMalformed;
  if (t->packet_bytes < t->bytes + udp_bytes) return LB_DECAP_OuterMalformed;
  struct lb_gue gue;
  if (bpf_skb_load_bytes(skb, at + (__u32)sizeof udp, &gue, sizeof gue) != 0) return LB_DECAP_OuterMalformed;
  t->gue = 1;
  t->packet_bytes = t->bytes + udp_bytes;
  t->bytes += (__u32)sizeof udp;
  switch (gue.ver_c_hlen >> 4) {  // version 1 is the IP packet itself: 0100 and 0110 are its first bits
    case 4:
    case 6:
      t->inner_v6 = gue.ver_c_hlen >> 4 == 6;
      return OUTER_TUNNEL;
    case 0:
    case 1:
      break;
    default:
      return LB_DECAP_GueUnsupported;
  }
  // Version 0, no control flag, no optional or private fields: what they would ask for we could not do.
  if (gue.ver_c_hlen != 0 || gue.flags != 0) return LB_DECAP_GueUnsupported;
  if (gue.proto != LB_PROTO_IPIP && gue.proto != LB_PROTO_IPV6) return LB_DECAP_GueUnsupported;
  t->inner_v6 = gue.proto == LB_PROTO_IPV6;
  t->bytes += (__u32)sizeof gue;
  return OUTER_TUNNEL;
}

// What follows the outer IP header. later_fragment: not the first one, so that no UDP header is there to tell.
static __always_inline int read_payload(struct __sk_buff* skb, struct tunnel* t, __u8 proto, int fragment,
                                        int later_fragment) {
  if (proto == LB_PROTO_IPIP || proto == LB_PROTO_IPV6) {
    t->inner_v6 = proto == LB_PROTO_IPV6;
    return fragment ? LB_DECAP_OuterFragment : OUTER_TUNNEL;
  }
  if (proto != LB_PROTO_UDP || later_fragment) return OUTER_NO_TUNNEL;
  return read_gue(skb, t, fragment);
}

static __always_inline int read_outer_ipv4(struct __sk_buff* skb, struct tunnel* t) {
  struct lb_ipv4 h;
  if (bpf_skb_load_bytes(skb, sizeof(struct lb_eth), &h, sizeof h) != 0) return OUTER_NO_TUNNEL;
  if (h.proto != LB_PROTO_IPIP && h.proto != LB_PROTO_IPV6 && h.proto != LB_PROTO_UDP) return OUTER_NO_TUNNEL;
  const __u32 header_bytes = (h.version_ihl & 15) * 4u;
  if (h.version_ihl >> 4 != 4 || header_bytes < sizeof h) return OUTER_NO_TUNNEL;  // the kernel's to refuse
  const __u16 frag = lb_ntohs(h.frag);
  map_ipv4(&t->src, h.src);
  map_ipv4(&t->dst, h.dst);
  t->ecn = h.tos & ECN_CE;
  t->bytes = header_bytes;
  t->packet_bytes = lb_ntohs(h.total_length);
  const int kind =
      read_payload(skb, t, h.proto, (frag & (LB_IPV4_MF | LB_IPV4_OFFSET)) != 0, (frag & LB_IPV4_OFFSET) != 0);
  if (kind != OUTER_TUNNEL) return kind;
  if (t->packet_bytes < t->bytes || t->packet_bytes > skb->len - sizeof(struct lb_eth)) return LB_DECAP_OuterMalformed;
  if (!ipv4_checksum_ok(skb, header_bytes)) return LB_DECAP_OuterChecksum;
  return OUTER_TUNNEL;
}

// Destination options are what Linux tunnels add by default (RFC 2473 section 5.1, tunnel encapsulation limit).
static __always_inline int read_outer_ipv6(struct __sk_buff* skb, struct tunnel* t) {
  struct lb_ipv6 h;
  if (bpf_skb_load_bytes(skb, sizeof(struct lb_eth), &h, sizeof h) != 0) return OUTER_NO_TUNNEL;
  __u32 bytes = sizeof h;
  __u8 next = h.next;
  int fragment = 0, later_fragment = 0;
  for (int i = 0; i < OUTER_MAX_EXTENSIONS; i++) {
    __u8 extension[8];
    if (next != LB_PROTO_HOPOPTS && next != LB_PROTO_DSTOPTS && next != LB_PROTO_FRAGMENT) break;
    if (bpf_skb_load_bytes(skb, (__u32)sizeof(struct lb_eth) + bytes, extension, sizeof extension) != 0)
      return OUTER_NO_TUNNEL;
    if (next == LB_PROTO_FRAGMENT) {  // an atomic fragment (RFC 6946) is none
      fragment = (extension[3] & 1) != 0 || extension[2] != 0 || (extension[3] & 0xf8) != 0;
      later_fragment = extension[2] != 0 || (extension[3] & 0xf8) != 0;
      bytes += 8;
    } else {
      bytes += (extension[1] + 1u) * 8u;
    }
    next = extension[0];
    if (later_fragment) break;
  }
  __builtin_memcpy(t->src.b, h.src, 16);
  __builtin_memcpy(t->dst.b, h.dst, 16);
  t->ecn = (h.vtc_flow[1] >> 4) & ECN_CE;
  t->outer_v6 = 1;
  t->bytes = bytes;
  t->packet_bytes = (__u32)sizeof h + lb_ntohs(h.payload_length);
  const int kind = read_payload(skb, t, next, fragment, later_fragment);
  if (kind != OUTER_TUNNEL) return kind;
  if (t->packet_bytes < t->bytes || t->packet_bytes > skb->len - sizeof(struct lb_eth)) return LB_DECAP_OuterMalformed;
  return OUTER_TUNNEL;
}

static __always_inline int read_outer(struct __sk_buff* skb, struct tunnel* t) {
  if (skb->protocol == lb_htons(LB_ETH_IPV4)) return read_outer_ipv4(skb, t);
  if (skb->protocol == lb_htons(LB_ETH_IPV6)) return read_outer_ipv6(skb, t);
  return OUTER_NO_TUNNEL;
}
