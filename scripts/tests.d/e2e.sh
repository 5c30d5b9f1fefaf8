# shellcheck shell=bash
suite_about() { say "real connections between namespaces through lbd, steered by lbctl"; }
suite_list() {
  "$PYTHON" -m pytest -p no:cacheprovider --collect-only -q "$LBD_ROOT/tests/e2e" 2>/dev/null | grep :: || say "(none)"
}
suite_run() {
  local junit=$SCRATCH/e2e.xml log=$SCRATCH/e2e.log options=() rc=0
  [[ $EUID -eq 0 ]] || { result skip e2e "network namespaces need root"; return 0; }
  ensure_build || return 0
  [[ -z $FILTER ]] || options+=(-k "$FILTER")
  export LBD_BUILD=$BUILD LBD_LONG=$LONG PYTHONDONTWRITEBYTECODE=1
  # Interrupted, pytest still takes its labs down.
  timeout -s INT -k 60 "$([[ $LONG == yes ]] && echo 7200 || echo 1200)" \
    "$PYTHON" -m pytest -p no:cacheprovider -q --color=no \
    --durations=5 --junitxml="$junit" "${options[@]}" \
    "$LBD_ROOT/tests/e2e" </dev/null >"$log" 2>&1 || rc=$?
  if [[ $rc -eq 5 ]]; then return 0; fi # nothing matched the filter, or there is nothing
  if [[ $rc -ne 0 ]]; then sed 's/^/    /' "$log" | tail -n 300; else grep -E '^[0-9.]+s (call|setup|teardown)' "$log" | sed 's/^/  /' || true; fi
  if [[ -s $junit ]]; then
    "$PYTHON" "$LBD_ROOT/scripts/lib/run_pytest.py" "$junit" "$RESULTS"
  else
    result fail e2e "pytest ended with exit code $rc before it wrote its report"
  fi
}
