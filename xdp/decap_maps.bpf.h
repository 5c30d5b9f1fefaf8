// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
// Every map of the decapsulation programs. Written once by the loader before the programs are attached, except the
// counters, which the programs write.
#pragma once

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, LB_DECAP_MAX_FROM);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct lb_decap_prefix);
  __type(value, __u8);
} lbd_dcp_from SEC(".maps");  // outer sources that may

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, LB_DECAP_MAX_TO);
  __type(key, struct lb_addr);
  __type(value, __u8);
} lbd_dcp_to SEC(".maps");  // outer destinations that are ours

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, LB_DECAP_MAX_VIPS);
  __type(key, struct lb_addr);
  __type(value, __u8);
} lbd_dcp_vips SEC(".maps");  // inner destinations

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct lb_decap_settings);
} lbd_dcp_setting SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, LB_DECAP_COUNT_MAX);
  __type(key, __u32);
  __type(value, __u64);
} lbd_dcp_count SEC(".maps");  // enum lb_decap_counter

static __always_inline void count(__u32 counter, __u64 n) {
  __u64* value = bpf_map_lookup_elem(&lbd_dcp_count, &counter);
  if (value) *value += n;  // per CPU, and tc does not nest on one CPU
}

static __always_inline void map_ipv4(struct lb_addr* out, const __u8 ipv4[4]) {
  __builtin_memset(out->b, 0, 10);
  out->b[10] = out->b[11] = 0xff;
  __builtin_memcpy(out->b + 12, ipv4, 4);
}
