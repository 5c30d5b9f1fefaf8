#!/usr/bin/python3
"""Runs the tests of tests/vm inside the guest, one after the other on one network.

    run.py [--list] [--results FILE] [NAME...]

NAME is part of a test's name. A line a test goes to FILE: pass|fail, name, reason; tab between. Exit code 0: at least one ran, none failed.
"""

import argparse
import importlib
import signal
import sys
import time
import traceback
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

# In this order: those that take the standard lbd as it is come first.
MODULES = ["forward", "ipvs", "rss", "exception", "vlans", "bpf", "bifurcated", "port_bind", "xdp"]


def tests():
    there = {path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py")}
    assert there == set(MODULES), f"MODULES and the files differ: {there ^ set(MODULES)}"
    for module in MODULES:
        code = importlib.import_module(f"test_{module}")
        for name, value in vars(code).items():
            if name.startswith("test_"):
                yield f"vm.{module}.{name[5:]}", value


# A test that hangs is told by name, and those after it still run.
LIMIT_S = 300


class Late(Exception):
    pass


def late(*_):
    raise Late(f"not over after {LIMIT_S} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", default="/dev/null")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    selected = [(n, t) for n, t in tests() if not args.names or any(wanted in n for wanted in args.names)]
    if args.list:
        print(*(name for name, _ in selected), sep="\n")
        return 0
    from world import World  # not on the host, where only the list is asked for
    signal.signal(signal.SIGALRM, late)
    failed = 0
    with World() as world, open(args.results, "a", encoding="utf-8") as results:
        for name, test in selected:
            start = time.monotonic()
            reason = ""
            signal.alarm(LIMIT_S)
            try:
                test(world)
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                signal.alarm(0)
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                traceback.print_exc(file=sys.stdout)
                world.tell()
            signal.alarm(0)
            kind = "fail" if reason else "pass"
            print(f"{kind} {name} {time.monotonic() - start:.1f} s", flush=True)
            print(kind, name, reason, sep="\t", file=results, flush=True)
    return 0 if selected and not failed else 1


sys.exit(main())
