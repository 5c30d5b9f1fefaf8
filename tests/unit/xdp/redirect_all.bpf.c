// The balancer's part in the tests of the exception path: everything goes there.
#include "xdp/given_back.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, LB_MAX_PORTS);
  __type(key, __u32);
  __type(value, __u32);
} lb_exception SEC(".maps");

const volatile __u64 given_back = 0;
__u64 passed = 0, no_exception_path = 0;

SEC("xdp")
int redirect_all(struct xdp_md* ctx) {
  if (lb_is_given_back(ctx, given_back)) {
    __sync_fetch_and_add(&passed, 1);
    return XDP_PASS;
  }
  const int what = bpf_redirect_map(&lb_exception, 0, XDP_DROP);
  if (what == XDP_DROP) __sync_fetch_and_add(&no_exception_path, 1);
  return what;
}

char _license[] SEC("license") = "Dual BSD/GPL";
