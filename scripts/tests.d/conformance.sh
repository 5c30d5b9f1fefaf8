# shellcheck shell=bash
suite_about() { say "one list of packet cases, on the pipeline and on each engine"; }
suite_list() { gtest_list conformance; }
suite_run() {
  ensure_build || return 0
  export LBD_LONG=$LONG
  gtest_run conformance
}
