# shellcheck shell=bash
suite_about() { say "what must hold for any input: checksums, tables, verdicts"; }
suite_list() { gtest_list property; }
suite_run() {
  ensure_build || return 0
  gtest_run property
}
