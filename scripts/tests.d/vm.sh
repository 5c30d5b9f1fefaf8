# One boot for all scenarios, one for counting.
# shellcheck shell=bash
suite_about() { say "a virtual machine: virtio NICs by vfio, RSS, the kernel's tunnels and IPVS, Linux 6.1; instructions a packet"; }
suite_list() {
  "$LBD_ROOT/scripts/vm" test --list
  "$PYTHON" -c 'import json, sys; [print("vm.instructions." + k) for k in json.load(open(sys.argv[1]))]' "$LBD_ROOT/tests/vm/instructions.json"
}
suite_run() {
  [[ $EUID -eq 0 ]] || { result skip vm "taps and namespaces need root"; return 0; }
  ensure_build || return 0
  export LBD_BUILD=$BUILD LBD_VM=${LBD_VM:-test}
  local log=$SCRATCH/vm.log names=() chosen=all
  [[ -z $FILTER ]] || names=("$FILTER")
  if [[ -n $FILTER ]] && ! chosen=$("$LBD_ROOT/scripts/vm" test --list "${names[@]}" 2>"$log"); then
    sed 's/^/    /' "$log"
    result fail vm.scenarios "scripts/vm test --list failed"
    chosen=''
  fi
  if [[ -n $chosen ]]; then
    vm_part scenarios test --results "$SCRATCH/vm.results" "${names[@]}"
  fi
  if [[ -z $FILTER || vm.instructions == *"$FILTER"* ]]; then vm_part instructions count --results "$SCRATCH/vm.results"; fi
}
# vm_part NAME ARGUMENT...: scripts/vm with these; its results, or that it had none.
vm_part() {
  local name=$1 rc=0
  shift
  rm -f "$SCRATCH/vm.results"
  "$LBD_ROOT/scripts/vm" "$@" >"$log" 2>&1 || rc=$?
  if [[ $rc -eq 0 ]]; then grep -E '^(pass|Boot|[a-z-]+ +[0-9])' "$log" | sed 's/^/  /' || true; else sed 's/^/    /' "$log" | tail -n 300; fi
  if [[ -s $SCRATCH/vm.results ]]; then cat "$SCRATCH/vm.results" >>"$RESULTS"; fi
  # One that failed has said so; a VM that died has not.
  if [[ $rc -ne 0 ]] && ! grep -qs '^fail' "$SCRATCH/vm.results"; then result fail "vm.$name" "scripts/vm $1 ended with exit code $rc"; fi
}
