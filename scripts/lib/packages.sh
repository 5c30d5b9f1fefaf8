# Every Debian package that building, running and testing lbd needs. The only list; scripts/setup installs it.
# shellcheck shell=bash disable=SC2034

# To build lbd and lbctl (clang and bpftool: the BPF programs).
PACKAGES_BUILD=(
  g++ meson ninja-build pkg-config clang bpftool
  libdpdk-dev libibverbs-dev ibverbs-providers libbpf-dev libxdp-dev libmnl-dev
  libfmt-dev libcli11-dev libyaml-cpp-dev nlohmann-json3-dev libboost1.81-dev libssl-dev
  libgtest-dev
)
# To run the lab and the demo: namespaces, web servers, clients.
PACKAGES_LAB=(iproute2 ethtool nginx-light curl iputils-ping procps util-linux)
# To run all of scripts/test, and scripts/bench (testpmd, callgrind).
# bird2, frr, keepalived: what takes announced addresses to routers (docs/announce.md).
# The last line is for scripts/vm: the emulator, what its first files are made of, the kernel's own balancer to compare with.
PACKAGES_TEST=(
  python3 python3-pytest python3-scapy python3-jsonschema python3-yaml clang-format-14 libclang-rt-14-dev llvm-14
  debootstrap git ccache dpdk-dev valgrind
  traceroute iputils-tracepath mtr-tiny
  bird2 frr keepalived
  qemu-system-x86 busybox-static cpio kmod ipvsadm
)
