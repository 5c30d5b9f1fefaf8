// What the kernel runs over a frame that lbd gives back to it: nothing, it goes up the stack.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int lbd_pass(struct xdp_md* ctx) {
  (void)ctx;
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
