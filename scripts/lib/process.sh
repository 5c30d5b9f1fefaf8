# Processes of ours, by PID file. A PID file holds "PID STARTTIME", so a reused PID is never taken for ours.
# shellcheck shell=bash

# process_field PID N: field N of /proc/PID/stat (3 state, 6 session, 22 start time); those after the command name, which may
# hold spaces. Fails when there is no such process; a zombie is none.
process_field() {
  local stat # first the text, then its fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra stat <<<"${stat##*) }"
  [[ ${stat[0]} != Z ]] || return 1
  printf '%s' "${stat[$(($2 - 3))]}"
}
process_start_time() { process_field "$1" 22; }
process_write() { printf '%s %s\n' "$2" "$(process_start_time "$2")" >"$1"; }
process_alive() {
  local pid start
  [[ -r $1 ]] && read -r pid start <"$1" && [[ -n $start && $(process_start_time "$pid") == "$start" ]]
}
# process_stop PIDFILE WHAT: TERM, then after 15 seconds KILL; returns when it is gone.
process_stop() {
  local pid
  process_alive "$1" || { rm -f "$1"; return 0; }
  read -r pid _ <"$1"
  kill -TERM "$pid" 2>/dev/null || true
  if ! wait_until 15 process_gone "$1"; then
    warn "$2 (PID $pid) did not stop within 15 s: killed"
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 5 process_gone "$1" || die "$2 (PID $pid) cannot be killed"
  fi
  rm -f "$1"
}
process_gone() { ! process_alive "$1"; }

# process_stop_session PIDFILE NAMESPACE: what a daemon that was killed has left behind: members of its session, in its namespace.
process_stop_session() {
  local leader pid
  [[ -r $1 ]] && read -r leader _ <"$1" || return 0
  for pid in $(ip netns pids "$2"); do
    if [[ $(process_field "$pid" 6) == "$leader" ]]; then
      kill -KILL "$pid" 2>/dev/null || true
      wait_until 5 process_missing "$pid" || true
    fi
  done
}
process_missing() { ! process_field "$1" 3; }
