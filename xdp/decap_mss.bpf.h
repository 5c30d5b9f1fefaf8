// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// MSS clamp, at tc egress. What is encapsulated on its way here is what clients send, and how much they send in one
// segment is what our SYN-ACK announces (RFC 9293 section 3.7.1), so it is the SYN-ACK of a VIP on its way out that is
// lowered. The client's SYN limits only what we send, which goes straight back without a tunnel.
#pragma once

#define TCP_OPTIONS_MAX 40u
#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2
#define TCP_OPTION_MSS_BYTES 4

// RETURNS: where the MSS value lies in the options, or -1: there is none.
static __always_inline int find_mss(const __u8* options, __u32 bytes) {
  __u32 i = 0;
  for (__u32 n = 0; n < TCP_OPTIONS_MAX; n++) {
    if (i + TCP_OPTION_MSS_BYTES > bytes || i > TCP_OPTIONS_MAX - TCP_OPTION_MSS_BYTES) return -1;
    const __u8 kind = options[i];
    if (kind == TCP_OPTION_END) return -1;
    if (kind == TCP_OPTION_NOP) {
      i++;
      continue;
    }
    const __u8 length = options[i + 1];
    if (length < 2) return -1;
    if (kind == TCP_OPTION_MSS) return length == TCP_OPTION_MSS_BYTES ? (int)i + 2 : -1;
    i += length;
  }
  return -1;
}

static __always_inline int clamp_mss(struct __sk_buff* skb, __u32 at, __u16 limit) {
  struct lb_tcp tcp;
  __u8 options[TCP_OPTIONS_MAX] = {};
  if (bpf_skb_load_bytes(skb, at, &tcp, sizeof tcp) != 0) return TC_ACT_UNSPEC;
  if ((tcp.flags & (LB_TCP_SYN | LB_TCP_ACK)) != (LB_TCP_SYN | LB_TCP_ACK)) return TC_ACT_UNSPEC;
  __u32 bytes = (tcp.data_offset >> 4) * 4u;
  if (bytes <= sizeof tcp) return TC_ACT_UNSPEC;
  bytes -= (__u32)sizeof tcp;
  // Both bounds are kept from the compiler, which knows the length to be a multiple of 4 and compares it with 0: the
  // verifier of Linux 6.1 learns no lower bound from "not 0" and refuses a read that might be empty.
  barrier_var(bytes);
  if (bytes < TCP_OPTION_MSS_BYTES) return TC_ACT_UNSPEC;
  barrier_var(bytes);
  if (bytes > TCP_OPTIONS_MAX) return TC_ACT_UNSPEC;
  if (bpf_skb_load_bytes(skb, at + (__u32)sizeof tcp, options, bytes) != 0) return TC_ACT_UNSPEC;
  const int found = find_mss(options, bytes);
  if (found < 0) return TC_ACT_UNSPEC;
  const __u32 value_at = at + (__u32)sizeof tcp + (__u32)found;
  lb_be16 before;
  if (bpf_skb_load_bytes(skb, value_at, &before, sizeof before) != 0) return TC_ACT_UNSPEC;
  if (lb_ntohs(before) <= limit) return TC_ACT_UNSPEC;
  const lb_be16 after = lb_htons(limit);
  // At an odd place the two bytes belong to two words of the sum, each to the other half: the same sum, swapped.
  const int odd = found & 1;
  const lb_be16 from = odd ? (lb_be16)__builtin_bswap16(before) : before;
  const lb_be16 to = odd ? (lb_be16)__builtin_bswap16(after) : after;
  if (bpf_l4_csum_replace(skb, at + __builtin_offsetof(struct lb_tcp, csum), from, to, sizeof to) != 0)
    return TC_ACT_UNSPEC;
  bpf_skb_store_bytes(skb, value_at, &after, sizeof after, 0);
  count(LB_DECAP_MssClamped, 1);
  return TC_ACT_UNSPEC;
}

SEC("tc")
int lbd_decap_mss(struct __sk_buff* skb) {
  const __u32 zero = 0;
  const struct lb_decap_settings* settings = bpf_map_lookup_elem(&lbd_dcp_setting, &zero);
  if (!settings || settings->mss == 0) return TC_ACT_UNSPEC;
  struct lb_addr src;
  __u32 at = sizeof(struct lb_eth);
  if (skb->protocol == lb_htons(LB_ETH_IPV4)) {
    struct lb_ipv4 h;
    if (bpf_skb_load_bytes(skb, at, &h, sizeof h) != 0 || h.proto != LB_PROTO_TCP) return TC_ACT_UNSPEC;
    if ((lb_ntohs(h.frag) & LB_IPV4_OFFSET) != 0) return TC_ACT_UNSPEC;
    map_ipv4(&src, h.src);
    at += (h.version_ihl & 15) * 4u;
  } else if (skb->protocol == lb_htons(LB_ETH_IPV6)) {
    struct lb_ipv6 h;
    if (bpf_skb_load_bytes(skb, at, &h, sizeof h) != 0 || h.next != LB_PROTO_TCP) return TC_ACT_UNSPEC;
    __builtin_memcpy(src.b, h.src, 16);
    at += (__u32)sizeof h;
  } else {
    return TC_ACT_UNSPEC;
  }
  if (!bpf_map_lookup_elem(&lbd_dcp_vips, &src)) return TC_ACT_UNSPEC;
  return clamp_mss(skb, at, settings->mss);
}
