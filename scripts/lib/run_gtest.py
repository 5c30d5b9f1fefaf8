"""Runs the test executables that meson knows of one suite and writes one line a test case to a results file.

run_gtest.py BUILD SUITE --results FILE [--filter TEXT] [--timeout-factor N] [--list]
A results line: pass|fail|skip, the test, the reason; tab between. An executable that is not a GoogleTest one counts as
one case by its exit code. FILE is appended to. What failed is printed with its output.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TAIL = 60  # lines of an executable's output that are shown when it died


def introspect(build, suite):
    out = subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, text=True, check=True).stdout
    return [t for t in json.loads(out) if any(s.split(":")[-1] == suite for s in t["suite"])]


def is_gtest(test):
    return b"gtest_list_tests" in Path(test["cmd"][0]).read_bytes()


def list_cases(test):
    """Names of the cases of an executable, `Suite.Case`."""
    if not is_gtest(test):
        return [test["name"]]
    done = subprocess.run(test["cmd"] + ["--gtest_list_tests"], capture_output=True, text=True, errors="replace", timeout=60)
    cases, suite = [], ""
    for line in done.stdout.splitlines():
        name = line.split("#")[0].rstrip()
        if line.startswith("  "):
            cases.append(suite + name.strip())
        elif name.endswith("."):
            suite = name
    return cases


def text_of(output, lines=TAIL):
    return "\n".join("    " + line for line in output.splitlines()[-lines:])


def execute(test, extra, factor):
    """Exit code (negative: signal; None: too late) and output."""
    command = test["cmd"] + extra
    env = dict(os.environ, **test["env"])
    with subprocess.Popen(command, cwd=test["workdir"] or None, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=max(test["timeout"], 60) * factor if test["timeout"] > 0 else None)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]


def how_it_ended(code, test, factor):
    if code is None:
        return f"took longer than {max(test['timeout'], 60) * factor} s and was ended"
    if code < 0:
        return f"died of {signal.Signals(-code).name}"
    return f"exit code {code}"


def run_plain(test, factor):
    code, output = execute(test, [], factor)
    if code == 0:
        return [("pass", test["name"], "")], ""
    if code == 77:  # the GNU convention for "cannot be run here"
        return [("skip", test["name"], output.strip().splitlines()[-1] if output.strip() else "exit code 77")], ""
    return [("fail", test["name"], how_it_ended(code, test, factor))], text_of(output)


def parts_of(output):
    """What a GoogleTest program printed, by test: name -> (how it ended: OK, FAILED, SKIPPED or '', its lines)."""
    parts, name = {}, None
    for line in output.splitlines():
        mark = re.match(r"\[ *(RUN|OK|FAILED|SKIPPED) *\] ([^ ,]+)", line)
        if mark and mark[1] == "RUN":
            name = mark[2]
            parts[name] = ("", [])
        elif mark and mark[2] == name:
            parts[name] = (mark[1], parts[name][1])
            name = None
        elif name:
            parts[name][1].append(line)
    return parts


def died(test, parts, why, output):
    """Results of an executable that ended before its report: what had ended counts, and who was running is named."""
    kinds = {"OK": "pass", "SKIPPED": "skip", "FAILED": "fail"}
    results = [(kinds[end], name, " ".join(lines)) for name, (end, lines) in parts.items() if end]
    running = [name for name, (end, _) in parts.items() if not end]
    return results + [("fail", running[0] if running else test["name"], why)], text_of(output)


def run_gtest(test, pattern, factor):
    """Results of one executable, and what to show of its failures."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        extra = [f"--gtest_output=json:{report.name}", "--gtest_color=no"]
        if pattern:
            extra.append(f"--gtest_filter=*{pattern}*")
        code, output = execute(test, extra, factor)
        text = report.read()
    parts = parts_of(output)
    if not text:
        return died(test, parts, how_it_ended(code, test, factor), output)
    results, shown = [], []
    for suite in json.loads(text)["testsuites"]:
        for case in suite["testsuite"]:
            name = f"{case.get('classname', suite['name'])}.{case['name']}"
            messages = [f["failure"] for f in case.get("failures", [])]
            if messages:
                results.append(("fail", name, " ".join(messages[0].split())[:200]))
                shown.append(f"  {name}\n" + text_of("\n".join(messages), 40))
            elif case.get("result") == "SKIPPED":
                reason = [line for line in parts.get(name, ("", []))[1] if not line.endswith(": Skipped")]
                results.append(("skip", name, " ".join(reason) or "it did not say why"))
            elif case.get("status") == "RUN":
                results.append(("pass", name, ""))
    if code != 0 and not any(r[0] == "fail" for r in results):  # a sanitizer's report at exit, for one
        results.append(("fail", test["name"], how_it_ended(code, test, factor)))
        shown.append(text_of(output))
    return results, "\n".join(shown)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build")
    parser.add_argument("suite")
    parser.add_argument("--results")
    parser.add_argument("--filter", default="")
    parser.add_argument("--timeout-factor", type=float, default=1)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--targets", action="store_true", help="print the executables as ninja targets")
    args = parser.parse_args()
    tests = introspect(args.build, args.suite)
    if args.targets:
        build = Path(args.build).resolve()
        for test in tests:
            for part in test["cmd"]:
                if Path(part).is_relative_to(build):
                    print(Path(part).relative_to(build))
        return 0
    if args.list:
        for test in tests:
            for case in list_cases(test):
                print(case)
        return 0
    if args.filter:
        tests = [t for t in tests if any(args.filter in case for case in list_cases(t))]

    def run(test):
        if is_gtest(test):
            return run_gtest(test, args.filter, args.timeout_factor)
        return run_plain(test, args.timeout_factor)

    alone = [t for t in tests if not t.get("is_parallel", True)]
    together = [t for t in tests if t.get("is_parallel", True)]
    failed = False
    with open(args.results, "a", encoding="utf-8") as results, ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for test, (cases, shown) in [*zip(together, pool.map(run, together)), *((t, run(t)) for t in alone)]:
            count = {kind: sum(1 for c in cases if c[0] == kind) for kind in ("pass", "fail", "skip")}
            print(f"  {test['name']}: {count['pass']} passed, {count['fail']} failed, {count['skip']} skipped")
            if shown:
                print(shown)
            sys.stdout.flush()
            failed = failed or count["fail"] > 0
            for case in cases:
                results.write("\t".join(" ".join(part.split()) for part in case) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
