// The maps of lb.bpf.c. All arrays, all mapped into lbd's memory: no hash map, no LRU map and no system call for what a
// packet or a change needs. Sizes that depend on the machine (workers, flows, tables) are set before the program is
// loaded; where several programs are loaded, the later ones use the first one's maps.
#pragma once

#include "xdp/lb_abi.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define LB_ARRAY(name, what, count)    \
  struct {                             \
    __uint(type, BPF_MAP_TYPE_ARRAY);  \
    __uint(map_flags, BPF_F_MMAPABLE); \
    __uint(max_entries, count);        \
    __type(key, __u32);                \
    __type(value, what);               \
  } name SEC(".maps")

LB_ARRAY(lb_config, struct lb_xdp_config, 1);

// Two halves each.
LB_ARRAY(lb_listeners, struct lb_listener_slot, 2 * LB_XDP_LISTENERS);
LB_ARRAY(lb_addresses, struct lb_address_slot, 2 * LB_XDP_ADDRESSES);
LB_ARRAY(lb_ranges, struct lb_port_range, 2 * LB_XDP_RANGES);
LB_ARRAY(lb_services, struct lb_xdp_service, 2 * LB_XDP_SERVICES);
LB_ARRAY(lb_backends, struct lb_backend, 2 * LB_XDP_BACKENDS);

LB_ARRAY(lb_tables, struct lb_xdp_table_line, 1);  // resized

// Worker w: lines w * lb_port.lines and on; entry e of line l: record l * LB_FLOW_ENTRIES + e. Resized.
LB_ARRAY(lb_flows, struct lb_flow_line, 1);
LB_ARRAY(lb_flow_records, struct lb_flow_cold, LB_FLOW_ENTRIES);
// Worker w: lines w * LB_XDP_LOG_LINES and on. Resized.
LB_ARRAY(lb_flow_log, union lb_xdp_log_line, 1);
// Of an lbd with another number of workers or flows, until they are empty. Read only.
LB_ARRAY(lb_former_flows, struct lb_flow_line, 1);

// By worker. Traffic: worker * LB_XDP_SERVICES + ServiceIndex, worker * LB_XDP_BACKENDS + BackendId. Resized.
LB_ARRAY(lb_workers, struct lb_xdp_worker, 1);
LB_ARRAY(lb_service_traffic, struct lb_traffic, 1);
LB_ARRAY(lb_backend_traffic, struct lb_traffic, 1);

LB_ARRAY(lb_decision, struct lb_xdp_decision, 1);

// By PortId: the interface by which a port sends, and the one by which its exception path is reached.
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, LB_MAX_PORTS);
  __type(key, __u32);
  __type(value, __u32);
} lb_egress SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, LB_MAX_PORTS);
  __type(key, __u32);
  __type(value, __u32);
} lb_exception SEC(".maps");

const volatile struct lb_xdp_port lb_port = {};
