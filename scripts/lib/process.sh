# Processes of ours, by PID file. A PID file holds "PID STARTTIME", so a reused PID is never taken for ours.
# shellcheck shell=bash

# Field 22 of /proc/PID/stat, behind the command name, which may hold spaces.
process_start_time() {
  local stat # first the text, then its fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra stat <<<"${stat##*) }"
  printf '%s' "${stat[19]}"
}
process_write() { printf '%s %s\n' "$2" "$(process_start_time "$2")" >"$1"; }
process_alive() {
  local pid start
  [[ -r $1 ]] && read -r pid start <"$1" && [[ -n $start && $(process_start_time "$pid") == "$start" ]]
}
# process_stop PIDFILE WHAT: TERM, then after five seconds KILL; returns when it is gone.
process_stop() {
  local pid
  process_alive "$1" || { rm -f "$1"; return 0; }
  read -r pid _ <"$1"
  kill -TERM "$pid" 2>/dev/null || true
  if ! wait_until 5 process_gone "$1"; then
    warn "$2 (PID $pid) did not stop within 5 s: killed"
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 5 process_gone "$1" || die "$2 (PID $pid) cannot be killed"
  fi
  rm -f "$1"
}
process_gone() { ! process_alive "$1"; }
