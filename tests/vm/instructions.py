"""Compares what scripts/vm count counted with what is recorded: instructions.py COUNTED [--record] [--results FILE].

COUNTED has a line "NAME NUMBER" a kind. The record is instructions.json beside this file. A kind that takes more than the tolerance above
its record fails; one that takes as much less passes, with the advice to record it.
"""

import argparse
import json
import sys
from pathlib import Path

RECORD = Path(__file__).with_name("instructions.json")
TOLERANCE_PERCENT = 5
KINDS = ("io", "generator", "macswap", "forward", "new", "testpmd-io", "testpmd-macswap")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("counted")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--results", default="/dev/null")
    args = parser.parse_args()
    counted = {name: float(number) for name, number in (line.split() for line in Path(args.counted).read_text().splitlines())}
    if set(counted) != set(KINDS):
        sys.exit(f"counted were {sorted(counted)}, to be counted are {sorted(KINDS)}")
    if args.record:
        RECORD.write_text(json.dumps({name: counted[name] for name in KINDS}, indent=2) + "\n")
    recorded = json.loads(RECORD.read_text())
    failed = False
    print(f"{'instructions a packet':24} {'counted':>9} {'recorded':>9}")
    with open(args.results, "a", encoding="utf-8") as results:
        for name in KINDS:
            percent = 100 * (counted[name] / recorded[name] - 1)
            bad = percent > TOLERANCE_PERCENT
            failed |= bad
            advice = "; record it: scripts/vm count --record" if abs(percent) > TOLERANCE_PERCENT else ""
            print(f"{name:24} {counted[name]:9.2f} {recorded[name]:9.2f} {percent:+6.1f} %{advice}")
            reason = f"{counted[name]:.2f} instructions a packet, {percent:.1f} % more than recorded" if bad else ""
            print("fail" if bad else "pass", f"vm.instructions.{name}", reason, sep="\t", file=results)
    return 1 if failed else 0


sys.exit(main())
