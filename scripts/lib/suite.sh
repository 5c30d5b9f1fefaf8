# What the suites in scripts/tests.d share. A suite is a file there that is sourced and defines
#   suite_about   one line: what it proves
#   suite_list    prints the names of its tests
#   suite_run     runs them; its exit code does not count, its results do
# In the environment: RESULTS (file, one line a test: pass|fail|skip, name, reason; tab between), FILTER (only tests whose name
# contains it; may be empty), LONG (yes: the full matrices), BUILD (build folder), SCRATCH (folder that goes away).
# shellcheck shell=bash disable=SC2034,SC2153

result() { printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$RESULTS"; }
wanted() { [[ -z $FILTER || $1 == *"$FILTER"* ]]; }

# check NAME COMMAND...: one test, by exit code; the output is shown when it fails.
check() {
  local name=$1 log=$SCRATCH/check.log rc
  shift
  wanted "$name" || return 0
  set +e
  (set -e; "$@") >"$log" 2>&1
  rc=$?
  set -e
  if [[ $rc -eq 0 ]]; then
    result pass "$name"
  else
    result fail "$name" "exit code $rc"
    say "  $name: exit code $rc"
    tail -n 60 "$log" | sed 's/^/    /'
  fi
}
# refuses COMMAND...: a control: the command must fail.
refuses() { if "$@"; then return 1; fi; }

# The build that tests run on; ninja finds nothing to do when `fresh` has left one.
ensure_build() {
  "$LBD_ROOT/scripts/build" "$@" || { result fail build "scripts/build $* failed"; return 1; }
}
gtest_list() {
  if [[ -f $BUILD/build.ninja ]]; then
    "$PYTHON" "$LBD_ROOT/scripts/lib/run_gtest.py" "$BUILD" "$1" --list 2>/dev/null || say "(not built: scripts/build)"
  else
    say "(not built: scripts/build)"
  fi
}
# gtest_run SUITE [OPTION...]: what meson has registered under this suite.
gtest_run() {
  "$PYTHON" "$LBD_ROOT/scripts/lib/run_gtest.py" "$BUILD" "$1" --results "$RESULTS" --filter "$FILTER" "${@:2}" || true
}
