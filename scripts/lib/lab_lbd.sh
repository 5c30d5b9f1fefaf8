# The lab's lbd, one a node: its configuration, start and stop. $1 is the node.
# shellcheck shell=bash

# Two pools over the same four servers, by their IPv4 and their IPv6 address, so that ipip meets every pair of families.
lbd_write_config() {
  local dir
  dir=$(node_dir "$1")
  cat >"$dir/lbd.yaml" <<END
version: 1
daemon:
  socket: $dir/lbd.sock
  state-dir: $dir/state
  hash-key-file: $LAB_DIR/hash-key
  flows: 65536
$(engine_lines "$1")

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
  local dir ENTER
  dir=$(node_dir "$1")
  ! process_alive "$dir/lbd.pid" || return 0
  mkdir -p "$dir/state"
  engine_enter "$1"
  # Its own session: a Ctrl-C meant for the script is not meant for the daemon.
  setsid "${ENTER[@]}" "$LAB_LBD" --config "$dir/lbd.yaml" </dev/null >>"$dir/lbd.log" 2>&1 9>&- &
  process_write "$dir/lbd.pid" $!
  wait_until 30 lbd_settled "$dir" || warn "$1 did not answer on $dir/lbd.sock within 30 s"
  lbd_answers "$dir" || {
    tail -n 20 "$dir/lbd.log" | sed 's/^/    /' >&2
    process_stop "$dir/lbd.pid" "$1"
    die "$1 did not come up; the end of its log is above"
  }
}
lbd_answers() { [[ -S $1/lbd.sock ]] && "$LAB_LBCTL" -s "$1/lbd.sock" stats >/dev/null; }
# Ready, or dead: both end the wait.
lbd_settled() { lbd_answers "$1" || ! process_alive "$1/lbd.pid"; }
lbd_down() { process_stop "$(node_dir "$1")/lbd.pid" "$1"; }

# Where the lab's folder is on a disk, lbd keeps its flow tables in shared memory and leaves a link to them.
lbd_forget_flows() {
  local tables
  tables=$(readlink "$(node_dir "$1")/flows") || return 0
  [[ $tables != /dev/shm/lbd-* ]] || rm -rf "$tables"
}
