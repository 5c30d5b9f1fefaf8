// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Decapsulation on a backend: takes IPIP (RFC 2003, RFC 2473, RFC 4213) and GUE (draft-ietf-intarea-gue, versions 0 and
// 1) off packets that load balancers send to this host, any outer with any inner IP version. Runs at tc ingress, where
// it works on every driver, after GRO and after VLAN tags went aside; what is no tunnel packet to us is not touched.
//
// A tunnel packet to one of our outer addresses (--to) ends in one of two ways: decapsulated, or dropped for a counted
// reason. The allowed outer sources are the only thing that keeps others from reaching a VIP around every filter, so
// the check comes before anything else is read.
//
// Given up: UDP checksums of GUE are not verified (RFC 6936 section 3.1: inner checksums and the inner pseudo-header
// cover what matters), outer fragments are not reassembled.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "dataplane/net/csum.h"
#include "xdp/decap_abi.h"
#include "xdp/decap_maps.bpf.h"
#include "xdp/decap_mss.bpf.h"
#include "xdp/decap_outer.bpf.h"

#define ETH_BYTES ((__u32)sizeof(struct lb_eth))
#define ETH_TYPE_OFFSET 12
#define PACKET_HOST 0  // linux/if_packet.h: to this interface's own MAC

// RFC 6040 section 4.2, figure 4. RETURNS: the inner ECN field from now on, or -1: drop.
static __always_inline int ecn_out(__u8 inner, __u8 outer) {
  if (outer == ECN_CE) return inner == ECN_NOT_ECT ? -1 : ECN_CE;
  if (outer == ECN_ECT1 && inner == ECN_ECT0) return ECN_ECT1;
  return inner;
}

struct inner {
  __u8 ecn;
  __u32 bytes;  // of the IP packet, as its header says
  struct lb_addr dst;
};

// RETURNS: 0 or the counter of the drop.
static __always_inline int read_inner(struct __sk_buff* skb, const struct tunnel* t, struct inner* in) {
  const __u32 at = ETH_BYTES + t->bytes;
  if (t->inner_v6) {
    struct lb_ipv6 h;
    if (bpf_skb_load_bytes(skb, at, &h, sizeof h) != 0) return LB_DECAP_InnerMalformed;
    if (h.vtc_flow[0] >> 4 != 6) return LB_DECAP_InnerMalformed;
    in->ecn = (h.vtc_flow[1] >> 4) & 3;
    in->bytes = (__u32)sizeof h + lb_ntohs(h.payload_length);
    __builtin_memcpy(in->dst.b, h.dst, 16);
  } else {
    struct lb_ipv4 h;
    if (bpf_skb_load_bytes(skb, at, &h, sizeof h) != 0) return LB_DECAP_InnerMalformed;
    if (h.version_ihl >> 4 != 4 || (h.version_ihl & 15) < 5) return LB_DECAP_InnerMalformed;
    in->ecn = h.tos & 3;
    in->bytes = lb_ntohs(h.total_length);
    if (in->bytes < (h.version_ihl & 15) * 4u) return LB_DECAP_InnerMalformed;
    map_ipv4(&in->dst, h.dst);
  }
  const __u32 payload = t->packet_bytes - t->bytes;
  if (in->bytes > payload) return LB_DECAP_InnerMalformed;
  if (in->bytes < payload && skb->gso_size != 0) return LB_DECAP_Aggregated;
  return 0;
}

// Removes the outer header; afterwards the packet is Ethernet and the inner IP packet, whose version skb->protocol
// tells. The change of version goes through bpf_skb_change_proto, which resizes the header by 20 bytes, since
// BPF_F_ADJ_ROOM_DECAP_L3_* came after Linux 6.1 and without it bpf_skb_adjust_room keeps skb->protocol.
static __always_inline long strip(struct __sk_buff* skb, const struct tunnel* t) {
  __s32 remove = (__s32)t->bytes;
  if (t->inner_v6 != t->outer_v6) {
    const lb_be16 type = lb_htons(t->inner_v6 ? LB_ETH_IPV6 : LB_ETH_IPV4);
    if (bpf_skb_change_proto(skb, type, 0) != 0) return -1;
    remove += t->inner_v6 ? 20 : -20;
    if (bpf_skb_store_bytes(skb, ETH_TYPE_OFFSET, &type, sizeof type, 0) != 0) return -1;
  }
  // FIXED_GSO: a merged packet's segments were cut by the inner MSS; a shorter header does not lengthen them.
  return bpf_skb_adjust_room(skb, -remove, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

static __always_inline long set_ecn(struct __sk_buff* skb, int v6, __u8 ecn) {
  if (v6) {
    __u8 byte;  // low half of the traffic class and top of the flow label
    const __u32 at = ETH_BYTES + 1;
    if (bpf_skb_load_bytes(skb, at, &byte, 1) != 0) return -1;
    byte = (__u8)((byte & 0xcf) | ecn << 4);
    return bpf_skb_store_bytes(skb, at, &byte, 1, BPF_F_RECOMPUTE_CSUM);
  }
  __u8 word[2];  // version and length, type of service
  if (bpf_skb_load_bytes(skb, ETH_BYTES, word, 2) != 0) return -1;
  const __u8 tos = (__u8)((word[1] & 0xfc) | ecn);
  const lb_be16 before = (lb_be16)(word[0] | word[1] << 8), after = (lb_be16)(word[0] | tos << 8);
  // The sum over a whole IPv4 header is constant, so a checksum of the NIC (CHECKSUM_COMPLETE) stays true.
  if (bpf_l3_csum_replace(skb, ETH_BYTES + 10, before, after, 2) != 0) return -1;
  return bpf_skb_store_bytes(skb, ETH_BYTES + 1, &tos, 1, 0);
}

static __always_inline int drop(int counter) {
  count((__u32)counter, 1);
  return TC_ACT_SHOT;
}

static __always_inline int decapsulate(struct __sk_buff* skb, const struct tunnel* t) {
  struct inner in = {};
  const int bad = read_inner(skb, t, &in);
  if (bad != 0) return drop(bad);
  if (!bpf_map_lookup_elem(&lbd_dcp_vips, &in.dst)) return drop(LB_DECAP_InnerNotVip);
  const int ecn = ecn_out(in.ecn, t->ecn);
  if (ecn < 0) return drop(LB_DECAP_EcnNotCapable);
  if (strip(skb, t) != 0) return drop(LB_DECAP_KernelRefused);
  if (ecn != in.ecn) {
    if (set_ecn(skb, t->inner_v6, (__u8)ecn) != 0) return drop(LB_DECAP_KernelRefused);
    count(ecn == ECN_CE ? LB_DECAP_EcnCe : LB_DECAP_EcnEct1, 1);
  }
  count(t->gue ? LB_DECAP_Gue : LB_DECAP_Ipip, 1);
  count(LB_DECAP_Bytes, in.bytes);
  return TC_ACT_UNSPEC;
}

// TC_ACT_UNSPEC: as if we were not here, the next filter decides.
SEC("tc")
int lbd_decap(struct __sk_buff* skb) {
  if (skb->pkt_type != PACKET_HOST) return TC_ACT_UNSPEC;
  struct tunnel t = {};
  const int kind = read_outer(skb, &t);
  if (kind == OUTER_NO_TUNNEL) return TC_ACT_UNSPEC;
  if (!bpf_map_lookup_elem(&lbd_dcp_to, &t.dst)) {
    count(LB_DECAP_NotForUs, 1);
    return TC_ACT_UNSPEC;
  }
  const struct lb_decap_prefix source = {
      .bits = LB_DECAP_FAMILY_BITS + 128, .family = t.outer_v6 ? 6 : 4, .addr = t.src};
  if (!bpf_map_lookup_elem(&lbd_dcp_from, &source)) return drop(LB_DECAP_SourceNotAllowed);
  if (kind != OUTER_TUNNEL) return drop(kind);
  return decapsulate(skb, &t);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
