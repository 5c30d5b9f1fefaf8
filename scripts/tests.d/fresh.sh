# shellcheck shell=bash
suite_about() { say "a fresh Debian 12 (debootstrap): setup, build, short demo; its build is left in build/"; }
suite_list() { printf '%s\n' fresh.machine fresh.setup fresh.build fresh.demo; }
suite_run() {
  [[ $EUID -eq 0 ]] || { result skip fresh "a chroot needs root"; return 0; }
  "$LBD_ROOT/scripts/fresh" --results "$RESULTS" --copy-out "$BUILD" || true
}
