# shellcheck shell=bash
suite_about() { say "the scripts parse, and each explains itself with --help"; }
scripts_all() { project_files scripts | grep -v -e '\.py$' -e '^scripts/tests.d/' -e '^scripts/lib/'; }
scripts_bash() { project_files scripts .ci | while read -r f; do [[ -f $LBD_ROOT/$f && $f != *.py ]] && ! head -n 1 "$LBD_ROOT/$f" | grep -q python && echo "$f"; done || true; }
suite_list() {
  scripts_bash | sed 's/^/parses:/'
  scripts_all | sed 's/^/help:/'
}
scripts_help() { [[ $("$LBD_ROOT/$1" --help </dev/null) == *Usage:* ]]; }
suite_run() {
  local file
  while read -r file; do check "parses:$file" bash -n "$LBD_ROOT/$file"; done < <(scripts_bash)
  while read -r file; do check "help:$file" scripts_help "$file"; done < <(scripts_all)
}
