# The lab's namespaces, links, addresses and routes.
# shellcheck shell=bash

net_up() {
  local host link fields i=0
  for host in "${LAB_HOSTS[@]}"; do
    ip netns add "$(lab_ns "$host")"
    net_sysctl "$host"
  done
  ip -n "$(lab_ns sw)" link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
  for link in "${LAB_LINKS[@]}"; do
    read -ra fields <<<"$link"
    net_link "$((++i))" "${fields[@]}"
  done
  for host in "${LAB_HOSTS[@]}"; do
    net_addresses "$host"
  done
  net_switch
  engine_peers
  net_vips
}

# Set before any interface exists, so that each is born with them.
net_sysctl() {
  local key=net.ipv4.conf settings=(
    net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0
    net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
    net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
    net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
  )
  case $1 in
    # Of several ways, one by addresses and ports.
    r) settings+=(net.ipv{4.ip_forward,6.conf.all.forwarding,4.fib_multipath_hash_policy,6.fib_multipath_hash_policy}=1) ;;
    sw) settings+=(net.ipv6.conf.default.disable_ipv6=1) ;;
    # A VIP on lo must not be answered for by ARP on the LAN: it belongs to lbd there.
    b*) settings+=("$key."{all,default}.{arp_ignore=1,arp_announce=2}) ;;
    # Ten thousand short connections from one address.
    c*) settings+=('net.ipv4.ip_local_port_range=1024 65535' net.ipv4.tcp_tw_reuse=1) ;;
  esac
  in_host "$1" sysctl -q -w "${settings[@]}"
}

# net_link NUMBER A@IFACE B@IFACE MTU QUEUES. MAC 02:1b:d0:00:LINK:END, the same in every run.
net_link() {
  local n a=$2 b=$3 mtu=$4 queues=$5 side
  n=$(printf '02:1b:d0:00:%02x' "$1")
  ip -n "$(lab_ns "${a%@*}")" link add name "${a#*@}" mtu "$mtu" numrxqueues "$queues" numtxqueues "$queues" address "$n:01" \
    type veth peer name "${b#*@}" netns "$(lab_ns "${b%@*}")" mtu "$mtu" numrxqueues "$queues" numtxqueues "$queues" address "$n:02"
  for side in "$a" "$b"; do
    # A veth leaves TCP checksums and segmentation to hardware that is not there; the datapath would pass them on undone.
    in_host "${side%@*}" ethtool -K "${side#*@}" tx off tso off gso off gro off >/dev/null
  done
}

net_addresses() {
  local host=$1 iface address gateway
  {
    echo link set lo up
    for iface in $(net_interfaces "$host"); do
      echo "link set $iface up"
      for address in ${LAB_ADDR[$host/$iface]:-}; do
        echo "address add $address dev $iface $([[ $address == *:* ]] && echo nodad)"
      done
    done
    for gateway in ${LAB_GATEWAY[$host]:-}; do
      echo "route add default via $gateway"
    done
  } | ip -n "$(lab_ns "$host")" -batch -
}

net_interfaces() {
  local link side
  for link in "${LAB_LINKS[@]}"; do
    for side in ${link%% [0-9]*}; do
      [[ ${side%@*} != "$1" ]] || echo "${side#*@}"
    done
  done
}

net_switch() {
  local port
  {
    for port in $(net_interfaces sw); do echo "link set $port master br0"; done
    echo link set br0 up
  } | ip -n "$(lab_ns sw)" -batch -
}

net_vips() {
  local host vip
  net_ways "${LAB_NODES[@]}"
  for host in "${LAB_BACKENDS[@]}"; do
    for vip in "${LAB_VIPS[@]}"; do
      echo "address add $vip dev lo $([[ $vip == *:* ]] && echo nodad)"
    done | ip -n "$(lab_ns "$host")" -batch -
  done
}

# net_ways NODE...: r sends what is for a VIP to these.
net_ways() {
  local prefix node ways
  for prefix in "${LAB_VIP_PREFIXES[@]}"; do
    ways=()
    for node in "$@"; do ways+=(nexthop via "$(lab_address "$node/wan" "$([[ $prefix == *:* ]] && echo 6 || echo 4)")"); done
    ip -n "$(lab_ns r)" route replace "$prefix" "${ways[@]}"
  done
}

# Removes every namespace of this lab; says which processes of others keep one alive.
net_down() {
  local host pid
  for host in "${LAB_HOSTS[@]}"; do
    lab_exists "$host" || continue
    for pid in $(ip netns pids "$(lab_ns "$host")"); do
      warn "lab: process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)) still runs in $(lab_ns "$host"); it was not started by the lab and is left alone"
    done
    ip netns del "$(lab_ns "$host")"
  done
}
