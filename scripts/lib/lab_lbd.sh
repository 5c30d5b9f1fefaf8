# The lab's lbd: its configuration, start and stop.
# shellcheck shell=bash

# Two pools over the same four servers, by their IPv4 and their IPv6 address, so that ipip meets every pair of families.
lbd_write_config() {
  cat >"$LAB_CONFIG" <<END
version: 1
daemon:
  engine: dpdk
  socket: $LAB_SOCKET
  state-dir: $LAB_DIR/state
  hash-key-file: $LAB_DIR/hash-key
  flows: 65536
  dpdk:
    workers: [0, 1]
    huge-pages: off
    idle: sleep
    ports:
      - {name: wan, device: wan, mtu: 1500}
      - {name: lan, device: lan, mtu: 1600}

pools:
  fe:
    backends:
$(lbd_pool_lines 4)
  fe6:
    backends:
$(lbd_pool_lines 6)

services:
  dsr:   {listen: ["192.0.2.10:80/tcp"], pool: fe, forward: dsr}
  dsr6:  {listen: ["[2001:db8:0:1::10]:80/tcp"], pool: fe6, forward: dsr}
  tun:   {listen: ["192.0.2.20:80/tcp", "[2001:db8:0:1::20]:80/tcp"], pool: fe, forward: ipip}
  tun6:  {listen: ["192.0.2.21:80/tcp", "[2001:db8:0:1::21]:80/tcp"], pool: fe6, forward: ipip}
END
}

lbd_pool_lines() {
  local host
  for host in "${LAB_BACKENDS[@]}"; do
    printf '      - {name: %s, address: "%s", weight: %d}\n' "$host" "$(lab_address "$host/eth0" "$1")" "${LAB_WEIGHT[$host]}"
  done
}

lbd_up() {
  ! process_alive "$LAB_DIR/lbd.pid" || return 0
  mkdir -p "$LAB_DIR/state"
  # Its own session: a Ctrl-C meant for the script is not meant for the daemon.
  setsid ip netns exec "$(lab_ns lbd)" "$LAB_LBD" --config "$LAB_CONFIG" </dev/null >>"$LAB_DIR/lbd.log" 2>&1 9>&- &
  process_write "$LAB_DIR/lbd.pid" $!
  wait_until 30 lbd_settled || warn "lbd did not answer on $LAB_SOCKET within 30 s"
  lbd_answers || {
    tail -n 20 "$LAB_DIR/lbd.log" | sed 's/^/    /' >&2
    process_stop "$LAB_DIR/lbd.pid" lbd
    die "lbd did not come up; the end of its log is above"
  }
}
lbd_answers() { [[ -S $LAB_SOCKET ]] && "$LAB_LBCTL" -s "$LAB_SOCKET" stats >/dev/null; }
# Ready, or dead: both end the wait.
lbd_settled() { lbd_answers || ! process_alive "$LAB_DIR/lbd.pid"; }
lbd_down() { process_stop "$LAB_DIR/lbd.pid" lbd; }

# Where the lab's folder is on a disk, lbd keeps its flow tables in shared memory and leaves a link to them.
lbd_forget_flows() {
  local tables
  tables=$(readlink "$LAB_DIR/flows") || return 0
  [[ $tables != /dev/shm/lbd-* ]] || rm -rf "$tables"
}
