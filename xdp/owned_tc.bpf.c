// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// The kernel's half of an AF_PACKET port: lbd reads its own copy of every frame before tc ingress runs, here the
// kernel's copy of what lbd owns ends. Frames to other hosts (promiscuous mode, flooding) are none of ours: pkt_type.
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include "xdp/owned.bpf.h"

// Who runs this filter: a filter of a process that is gone can be told from one in use (traffic control keeps filters
// until they are removed). Start time makes a reused process id another process.
struct lb_filter_owner {
  __u64 pid;
  __u64 start_time;  // clock ticks after boot, field 22 of /proc/PID/stat
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct lb_filter_owner);
} lbd_tc_owner SEC(".maps");

SEC("tc")
int lbd_owned_tc(struct __sk_buff* skb) {
  __u32 key = 0;
  // Headers may lie in fragments: up to 14 + 2 x 4 + 40 + 8 + 1 bytes are looked at.
  if (skb->pkt_type != PACKET_HOST) return TC_ACT_UNSPEC;
  bpf_skb_pull_data(skb, skb->len < 71 ? skb->len : 71);
  if (!is_owned((const __u8*)(long)skb->data, (const __u8*)(long)skb->data_end)) return TC_ACT_UNSPEC;
  // Names the map as this program's, so that it is found from the program alone.
  return bpf_map_lookup_elem(&lbd_tc_owner, &key) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
