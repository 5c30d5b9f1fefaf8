# shellcheck shell=bash
ASAN_SUITES=(unit conformance property)
suite_about() { say "unit, conformance and property tests built by clang with AddressSanitizer and UndefinedBehaviorSanitizer"; }
suite_list() {
  local suite
  for suite in "${ASAN_SUITES[@]}"; do BUILD=$LBD_ROOT/build-asan gtest_list "$suite" | sed 's/^/asan:/'; done
}
# asan_build SUITE...: only the executables of these suites.
asan_build() {
  local targets suite
  "$LBD_ROOT/scripts/build" --sanitize --configure || { result fail asan-build "meson failed"; return 1; }
  mapfile -t targets < <(for suite in "$@"; do "$PYTHON" "$LBD_ROOT/scripts/lib/run_gtest.py" "$LBD_ROOT/build-asan" "$suite" --targets; done)
  [[ ${#targets[@]} -gt 0 ]] || return 0
  # What they read is built by nobody's order but theirs.
  [[ " $* " != *" conformance "* ]] || targets+=(tests/conformance/oracle.jsonl)
  ensure_build --sanitize "${targets[@]}"
}
suite_run() {
  local suite found=$SCRATCH/asan.results
  asan_build "${ASAN_SUITES[@]}" || return 0
  export BUILD=$LBD_ROOT/build-asan
  export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-14
  for suite in "${ASAN_SUITES[@]}"; do
    RESULTS=$found gtest_run "$suite" --timeout-factor 4
  done
  [[ ! -e $found ]] || sed 's/\t/\tasan:/' "$found" >>"$RESULTS"
}
