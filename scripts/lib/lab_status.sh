# What there is of the lab, for people (status) and for scripts (env).
# shellcheck shell=bash disable=SC2153

lab_status() {
  local host node
  lab_complete || { say "The lab${LAB_NAME:+ $LAB_NAME} is down. Next: sudo scripts/lab up"; return 0; }
  say "The lab${LAB_NAME:+ $LAB_NAME} is up; folder $LAB_DIR"
  say
  printf '%-6s %-14s %s\n' HOST NAMESPACE ADDRESSES
  for host in "${LAB_HOSTS[@]}"; do
    printf '%-6s %-14s %s\n' "$host" "$(lab_ns "$host")" "$(status_addresses "$host")"
  done
  say
  for host in "${LAB_BACKENDS[@]}"; do status_process "nginx of $host" "$LAB_DIR/$host/nginx.lab-pid"; done
  for node in "${LAB_NODES[@]}"; do status_process "$node (engine $(engine_of "$node"))" "$(node_dir "$node")/lbd.pid"; done
  say "decapsulation on the backends: $([[ -e $LAB_DIR/decap ]] && echo attached || echo none)"
  say
  say "VIPs ${LAB_VIPS[*]}"
  say
  say "Now try:"
  if process_alive "$LAB_DIR/lbd.pid"; then
    say "  sudo scripts/lab exec c1 curl -s http://192.0.2.10/"
    say "  sudo scripts/lab exec c2 curl -s 'http://[2001:db8:0:1::20]/'"
    for node in "${LAB_NODES[@]}"; do say "  sudo ${LAB_LBCTL#"$PWD"/} -s $(node_dir "$node")/lbd.sock"; done
  else
    say "  sudo scripts/lab up --lbd"
  fi
  say "  sudo scripts/lab exec b1 tcpdump -ni eth0"
  say "  tail -f $LAB_DIR/b1/access.log"
  say "  sudo scripts/lab down"
}

status_addresses() {
  local key text=''
  for key in $(net_interfaces "$1"); do
    [[ -n ${LAB_ADDR[$1/$key]:-} ]] && text+="$key ${LAB_ADDR[$1/$key]}  "
  done
  printf '%s' "${text:-(switch, no address)}"
}

status_process() {
  local pid
  if process_alive "$2"; then
    read -r pid _ <"$2"
    say "$1: runs, PID $pid"
  else
    say "$1: not running"
  fi
}

lab_env() {
  local host
  printf 'LAB_ENGINE=%q\nLAB_NODES=%q\n' "$(engine_of lbd)" "${LAB_NODES[*]}"
  printf 'LAB_DIR=%q\nLAB_PREFIX=%q\nLAB_CONFIG=%q\nLAB_SOCKET=%q\nLAB_LBD=%q\nLAB_LBCTL=%q\n' \
    "$LAB_DIR" "$LAB_PREFIX" "$LAB_CONFIG" "$LAB_SOCKET" "$LAB_LBD" "$LAB_LBCTL"
  printf 'LAB_HOSTS=%q\nLAB_BACKENDS=%q\nLAB_CLIENTS=%q\nLAB_VIPS=%q\n' \
    "${LAB_HOSTS[*]}" "${LAB_BACKENDS[*]}" "${LAB_CLIENTS[*]}" "${LAB_VIPS[*]}"
  for host in "${LAB_CLIENTS[@]}" "${LAB_BACKENDS[@]}"; do
    printf 'LAB_%s_4=%q\nLAB_%s_6=%q\n' "${host^^}" "$(lab_address "$host/eth0" 4)" "${host^^}" "$(lab_address "$host/eth0" 6)"
  done
}
