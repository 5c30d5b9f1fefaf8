# shellcheck shell=bash
suite_about() { say "every C and C++ file is as clang-format 14 writes it"; }
suite_list() { say format.sources; }
format_sources() {
  local files
  mapfile -t files < <(project_files '*.h' '*.c' '*.cc' | while read -r f; do [[ -f $LBD_ROOT/$f ]] && echo "$f"; done)
  [[ ${#files[@]} -gt 0 ]] || { say "no source file found"; return 1; }
  cd "$LBD_ROOT" || return
  clang-format-14 --dry-run -Werror "${files[@]}"
}
suite_run() { check format.sources format_sources; }
