# Commands in the guest: see vm_guest.sh for the other end.
# shellcheck shell=bash disable=SC2153

# vm_exec SECONDS COMMAND...: runs it in the project's folder; output and exit code are the command's. 124: it did not end in time.
vm_exec() {
  local seconds=$1 n rc=124 watcher
  shift
  n=$(vm_request "$@")
  # Ends when the command has: then tail shows what is left, and ends too.
  (wait_until "$seconds" vm_answered "$n") &
  watcher=$!
  tail -q -s 0.1 --pid=$watcher -n +1 -F "$VM_DIR/$n.out" 2>/dev/null &
  tail -q -s 0.1 --pid=$watcher -n +1 -F "$VM_DIR/$n.err" >&2 2>/dev/null
  wait
  if [[ -e $VM_DIR/$n.rc ]]; then
    rc=$(<"$VM_DIR/$n.rc")
    rm -f "$VM_DIR/$n".*
  elif vm_runs; then
    warn "vm: '$*' has not ended after $seconds s"
  else
    warn "vm: the VM ended while it ran '$*'"
    vm_tail
    rc=125
  fi
  return "$rc"
}

# Writes the command down and wakes the guest; prints its number.
vm_request() {
  local n
  n=$(mktemp -u XXXXXXXX)
  { printf 'cd %q\n' "$LBD_ROOT"; printf 'exec'; printf ' %q' "$@"; echo; } >"$VM_DIR/$n.sh"
  : >"$VM_DIR/$n.out"
  : >"$VM_DIR/$n.err"
  timeout 5 bash -c 'echo "run $1" >"$0/requests.in"' "$VM_DIR" "$n" || warn "vm: the VM takes no requests"
  printf '%s' "$n"
}
vm_answered() { [[ -e $VM_DIR/$1.rc || -e $VM_DIR/qemu.rc ]]; }
