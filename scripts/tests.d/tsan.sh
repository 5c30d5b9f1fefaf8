# Only the programs of these crossings: the rest of the tree shares nothing else between threads but counters.
# shellcheck shell=bash
suite_about() { say "publication to running workers, their flow tables and datagrams, under ThreadSanitizer"; }
suite_list() { printf '%s\n' tsan:unit/dpdk/rcu tsan:unit/dpdk/flow_race tsan:unit/stages/fragment_race; }
suite_run() {
  local dir=$LBD_ROOT/build-tsan found=$SCRATCH/tsan.results
  if [[ ! -f $dir/build.ninja ]] && ! meson setup -Db_sanitize=thread -Db_lundef=false "$dir" "$LBD_ROOT" >"$SCRATCH/tsan.log" 2>&1; then
    tail -n 20 "$SCRATCH/tsan.log"
    result fail tsan-build "meson failed"
    return 0
  fi
  if ! ninja -C "$dir" tests/unit/dpdk/dpdk_rcu_test tests/unit/dpdk/dpdk_flow_race_test tests/unit/stages/stages_fragment_race_test >"$SCRATCH/tsan.log" 2>&1; then
    tail -n 40 "$SCRATCH/tsan.log"
    result fail tsan-build "the build failed"
    return 0
  fi
  BUILD=$dir RESULTS=$found gtest_run tsan --timeout-factor 4
  [[ ! -e $found ]] || sed 's/\t/\ttsan:/' "$found" >>"$RESULTS"
}
