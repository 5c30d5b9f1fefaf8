# What the demonstration shows, a function a step. Each checks what it shows: a demonstration that lies is worse than none.
# shellcheck shell=bash

title() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
# Shows a command as one would type it, then runs it.
show() {
  printf '   $ %s\n' "$*"
  "$@" | sed 's/^/   /'
}
lab() { "$LBD_ROOT/scripts/lab" exec "$@"; }
lbctl() { "$LAB_LBCTL" -s "$LAB_SOCKET" "$@"; }

# tally CLIENT URL N: that many connections, one request each; one line a backend with its number and share.
tally() {
  local answers got
  answers=$(lab "$1" curl -s -m 5 -H 'Connection: close' "$2?[1-$3]") || die "requests from $1 to $2 failed; log: $LAB_DIR/lbd.log"
  got=$(wc -l <<<"$answers")
  [[ $got -eq $3 ]] || die "$got of $3 requests to $2 were answered; log: $LAB_DIR/lbd.log"
  cut -d' ' -f1 <<<"$answers" | sort | uniq -c | awk -v all="$3" '{ printf "   %s %4d requests %5.1f %%\n", $2, $1, 100 * $1 / all }'
}

demo_shares() {
  local url
  title "Real requests over IPv4 and IPv6; the weights are b1 100, b2 100, b3 50, b4 50"
  for url in "http://192.0.2.10/" "http://[2001:db8:0:1::10]/" "http://192.0.2.20/" "http://[2001:db8:0:1::21]/"; do
    case $url in
      *.10* | *::10*) say "   $requests connections to $url  (dsr: the backend's MAC address, packet unchanged)" ;;
      *) say "   $requests connections to $url  (ipip: in a tunnel to the backend)" ;;
    esac
    tally c1 "$url" "$requests"
  done
}

demo_explain() {
  local port told real
  title "lbctl explain says which backend a flow gets, from the code that forwards; then the flow is made"
  for port in 41001 41002 41003 41004; do
    told=$(lbctl --json explain tcp "198.51.100.10:$port" 192.0.2.20:80 |
      "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["answers"][0]["backend"]["name"])')
    real=$(lab c1 curl -s -m 5 --local-port "$port" http://192.0.2.20/ | cut -d' ' -f1)
    say "   198.51.100.10:$port -> 192.0.2.20:80   explained: $told   answered by: $real"
    [[ $told == "$real" ]] || die "explain and reality differ"
  done
  show lbctl explain tcp 198.51.100.10:41001 192.0.2.20:80
}

demo_weight() {
  title "A weight change: b1 to 0, it gets nothing new; then back"
  show lbctl --dry-run backend set fe/b1 --weight 0
  show lbctl backend set fe/b1 --weight 0 --reason "demo: take b1 out"
  tally c2 http://192.0.2.20/ "$requests" | tee "$LAB_DIR/tally"
  ! grep -q b1 "$LAB_DIR/tally" || die "b1 still gets connections"
  show lbctl backend set fe/b1 --weight 100
}

demo_remove() {
  title "A backend is removed, and added again"
  show lbctl backend remove fe/b2
  tally c2 http://192.0.2.10/ "$requests" | tee "$LAB_DIR/tally"
  ! grep -q b2 "$LAB_DIR/tally" || die "b2 still gets connections"
  show lbctl backend add fe/b2 10.1.0.12 --weight 100
  tally c2 http://192.0.2.10/ "$requests"
}

demo_counters() {
  title "Every packet is accounted for: received = forwarded + answered + punted + dropped, for each worker"
  lab c1 curl -s -m 1 http://192.0.2.10:81/ >/dev/null || true # nobody listens there: counted as no_listener
  show lbctl stats workers
  show lbctl stats drops
  show lbctl
  [[ $(lbctl --json stats workers | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["balanced"])') == True ]] ||
    die "the verdicts do not sum up"
}

# Engine xdp only: the program is the kernel's, and goes on without lbd.
demo_death() {
  local pid said
  title "lbd is killed: the kernel goes on with its program and its tables; lbctl says so; a new lbd takes over"
  read -r pid _ <"$LAB_DIR/lbd.pid"
  show kill -KILL "$pid"
  tally c1 http://192.0.2.20/ "$requests"
  said=$(lbctl stats 2>&1) && die "lbd still answers"
  sed 's/^/   /' <<<"$said"
  grep -q 'still forward' <<<"$said" || die "lbctl does not say that the program still forwards"
  "$LBD_ROOT/scripts/lab" up --lbd
  show lbctl engine show
  tally c2 http://192.0.2.10/ "$requests"
}

demo_try() {
  title "Now try"
  local run="sudo LBD_LAB=$LBD_LAB" again="scripts/demo --keep --no-build"
  [[ $LAB_ENGINE == dpdk ]] || again+=" --engine xdp --mode ${LAB_ENGINE#xdp-}"
  cat <<END
   sudo $again            the same, and the lab stays up for these:
   $run scripts/lab status                how to talk to it
   $run scripts/lab exec c1 curl http://192.0.2.10/
   sudo $LAB_LBCTL -s $LAB_SOCKET backend show fe/b1
   sudo $LAB_LBCTL -s $LAB_SOCKET config show
   $run scripts/lab down                  ends it
END
}
