# shellcheck shell=bash
suite_about() { say "who includes whom: dependencies point down, each kind of system header has one home"; }
suite_list() { printf '%s\n' layers.tree layers.control-upwards layers.control-dpdk-in-stages; }
# A tree of one file with one wrong #include must be refused.
layers_control() {
  local tree
  tree=$(mktemp -d "$SCRATCH/layers.XXXXXX")
  mkdir -p "$tree/$(dirname "$1")" "$tree/ctl"
  touch "$tree/ctl/server.h"
  printf '#include %s\n' "$2" >"$tree/$1"
  refuses "$LBD_ROOT/scripts/check-layers" --root "$tree"
}
suite_run() {
  check layers.tree "$LBD_ROOT/scripts/check-layers"
  check layers.control-upwards layers_control dataplane/net/hash.h '"ctl/server.h"'
  check layers.control-dpdk-in-stages layers_control dataplane/stages/parse.cc '<rte_mbuf.h>'
}
