# shellcheck shell=bash
suite_about() { say "ports and filters on real kernel interfaces, in network namespaces: AF_XDP, AF_PACKET, SIGKILL"; }
suite_list() { gtest_list netns; }
suite_run() {
  [[ $EUID -eq 0 ]] || { result skip netns "network namespaces need root"; return 0; }
  ensure_build || return 0
  gtest_run netns
}
