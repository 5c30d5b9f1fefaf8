# The engine of a node of the lab: dpdk, xdp-native, xdp-generic. Chosen when the lab is built, kept in the node's folder.
# shellcheck shell=bash disable=SC2153

# engine_of NODE
engine_of() {
  local file
  file=$(node_dir "$1")/engine
  if [[ -r $file ]]; then printf '%s' "$(<"$file")"; else printf dpdk; fi
}

# engine_choose ENGINE MODE FLEET: what `up` was asked for (empty: as it is, or dpdk), for the lab that is there or a new one.
engine_choose() {
  local engine=$1 mode=$2
  case $engine/$mode in
    / | dpdk/ | xdp/native | xdp/generic) ;;
    xdp/) mode=native ;;
    dpdk/* | /*) usage_error "--mode is for --engine xdp" ;;
    xdp/*) usage_error "--mode is native or generic, not '$mode'" ;;
    *) usage_error "--engine is dpdk or xdp, not '$engine'" ;;
  esac
  LAB_ENGINE=${engine:+$engine${mode:+-$mode}}
  [[ -e $LAB_DIR/ready ]] || return 0
  if [[ -n $LAB_ENGINE && $LAB_ENGINE != "$(engine_of lbd)" ]]; then
    die "this lab was built for engine $(engine_of lbd). Run: scripts/lab down, then this again"
  fi
  if [[ $3 == yes && ! -e $LAB_DIR/fleet ]]; then die "this lab was built with one lbd. Run: scripts/lab down, then this again"; fi
}

# What is chosen, for a lab that is being built. In a fleet the second node has the other engine.
engine_record() {
  local node other=dpdk
  [[ ${LAB_ENGINE:=dpdk} != dpdk ]] || other=xdp-native
  for node in "${LAB_NODES[@]}"; do
    mkdir -p "$(node_dir "$node")"
    if [[ $node == lbd ]]; then printf '%s\n' "$LAB_ENGINE"; else printf '%s\n' "$other"; fi >"$(node_dir "$node")/engine"
  done
}

# The lines of `daemon` in a node's configuration.
engine_lines() {
  local engine
  engine=$(engine_of "$1")
  if [[ $engine == dpdk ]]; then
    cat <<END
  engine: dpdk
  dpdk:
    workers: [0, 1]
    huge-pages: off
    idle: sleep
    ports:
      - {name: wan, device: wan, mtu: 1500}
      - {name: lan, device: lan, mtu: 1600}
END
  else
    cat <<END
  engine: xdp
  xdp:
    interfaces:
      - {name: wan, mode: ${engine#xdp-}}
      - {name: lan, mode: ${engine#xdp-}}
END
  fi
}

# engine_enter NODE: puts what runs lbd in the node's namespace in front of its command line into the array ENTER. With engine xdp in this
# script's mount namespace: the program outlives lbd by being pinned in a file system that lbd mounts, and one in a mount namespace of
# `ip netns exec` would go away with lbd.
engine_enter() {
  ENTER=(ip netns exec "$(lab_ns "$1")")
  [[ $(engine_of "$1") == dpdk ]] || ENTER=(nsenter "--net=/run/netns/$(lab_ns "$1")" --)
}

# A program that passes everything at the far ends of native nodes' links.
engine_peers() {
  local peer node pass=$LAB_BUILD/xdp/pass.bpf.o i=0
  for peer in "${LAB_PEERS[@]}"; do
    node=${LAB_NODES[i++ / 2]}
    [[ $(engine_of "$node") == xdp-native ]] || continue
    [[ -r $pass ]] || die "$pass is not there. Run: scripts/build"
    ip -n "$(lab_ns "${peer%@*}")" link set dev "${peer#*@}" xdpdrv obj "$pass" sec xdp
  done
}

# Removes what a node's lbd has left pinned; its program goes with it.
engine_forget() {
  local pins
  pins=$(node_dir "$1")/xdp
  mountpoint -q "$pins" || return 0
  # Not only unmounted: a process that was started meanwhile may have the same file system in a mount namespace of its own.
  rm -f "$pins"/link-*
  umount "$pins"
}
