#!/bin/bash
# Instructions a packet, in a guest whose time stamp counter counts them (scripts/vm count): a line "NAME NUMBER" for each kind.
# usage: count.sh PACKET_BENCH
set -euo pipefail
bench=$1

# Ours: the median batch, see tests/bench/packet_bench.cc.
for kind in io generator macswap forward new; do
  printf '%s %s\n' "$kind" "$("$bench" --core 0 --count "$kind" --tsc 2>/dev/null)"
done

# testpmd's, by its own account, the least of several runs; only the drivers that it needs.
drivers=$(echo /usr/lib/x86_64-linux-gnu/dpdk/pmds-*)
commands() {
  local kind _
  for kind in io macswap; do
    printf 'set fwd %s\n' "$kind"
    for _ in 1 2 3 4; do
      echo start
      sleep 0.04
      echo stop
    done
  done
  echo quit
}
commands | dpdk-testpmd --lcores '0@0,1@0' --no-pci --no-huge -m 64 --no-telemetry --iova-mode=va --file-prefix=lbd-count \
  -d "$drivers/librte_mempool_ring.so" -d "$drivers/librte_net_null.so" --vdev=net_null0,size=64 \
  -- -i --record-core-cycles --burst=64 --port-topology=loop --total-num-mbufs=4096 --no-lsc-interrupt 2>&1 |
  sed -n 's/.*CPU cycles\/packet=\([0-9.]*\).* total \([a-z]*\) packets.*/testpmd-\2 \1/p' | sort -k 1,1 -k 2,2n | sort -u -k 1,1
