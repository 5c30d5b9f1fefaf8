# Coverage-guided fuzzing needs clang, so these come from the sanitizer build.
# shellcheck shell=bash
suite_about() { say "mutated packets, configurations and protocol lines for a short time, under ASan and UBSan"; }
suite_list() { BUILD=$LBD_ROOT/build-asan gtest_list fuzz; }
suite_run() {
  export BUILD=$LBD_ROOT/build-asan
  source "$LBD_ROOT/scripts/tests.d/asan.sh"
  asan_build fuzz || return 0
  gtest_run fuzz --timeout-factor 3
}
