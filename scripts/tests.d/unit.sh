# shellcheck shell=bash
suite_about() { say "every folder's types and functions by themselves"; }
suite_list() { gtest_list unit; }
suite_run() {
  ensure_build || return 0
  gtest_run unit
}
