# Shared by every script: where the tree is, how progress and failures are said. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail

LBD_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# Only what Debian's packages installed: a tool from somewhere else in PATH would hide a missing package.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C.UTF-8
PYTHON=/usr/bin/python3
export LBD_ROOT PYTHON

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}
# Prints the comment at the top of a script (after #!) as its help.
usage() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"; }
usage_error() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  printf 'See %s --help\n' "$0" >&2
  exit 2
}
need_root() { [[ $EUID -eq 0 ]] || die "needs root: $1. Run: sudo $0 ${2:-}"; }
need_tool() { command -v "$1" >/dev/null || die "$1 is not installed. Run: sudo $LBD_ROOT/scripts/setup"; }

# step TEXT ADVICE COMMAND...: runs the command silently and prints one line with the time. When it fails: the end of
# its output, then ADVICE, and the script ends. Not to be called in a condition: bash ignores `set -e` inside those.
step() {
  local text=$1 advice=$2 log start=$SECONDS rc
  shift 2
  log=$(mktemp "${TMPDIR:-/tmp}/lbd-step.XXXXXX")
  [[ ! -t 1 ]] || printf '%s ...' "$text"
  set +e
  (set -e; "$@") >"$log" 2>&1
  rc=$?
  set -e
  [[ ! -t 1 ]] || printf '\r\033[K'
  if [[ $rc -ne 0 ]]; then
    printf '%s: FAILED with exit code %d after %d s; the end of its output:\n' "$text" "$rc" $((SECONDS - start))
    tail -n 40 "$log" | sed 's/^/    /'
    rm -f "$log"
    die "$advice"
  fi
  printf '%s: done in %d s\n' "$text" $((SECONDS - start))
  rm -f "$log"
}

# wait_until SECONDS COMMAND...: polls the command until it succeeds; fails at the deadline.
wait_until() {
  local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
  shift
  until "$@" >/dev/null 2>&1; do
    [[ ${EPOCHREALTIME/./} -lt $deadline ]] || return 1
    sleep 0.02
  done
}

# The files of the project: what git knows, or everything when this is no checkout.
project_files() {
  if git -C "$LBD_ROOT" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -C "$LBD_ROOT" ls-files --cached --others --exclude-standard -- "$@" | sort -u
  else
    (cd "$LBD_ROOT" && find . -type f -not -path './build*' -printf '%P\n' | sort)
  fi
}
