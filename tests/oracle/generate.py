#!/usr/bin/python3
"""Usage: generate.py OUT

Writes what lbd has to do with some hundred packets, as Scapy and the RFCs have it: one JSON object a line, for
tests/conformance/oracle.cc."""

import sys

import answer_cases
import error_cases
import forward_cases
import fragment_cases


def main():
    lines = {}
    for part in (forward_cases, answer_cases, error_cases, fragment_cases):
        more = part.all_cases()
        assert not lines.keys() & more.keys()
        lines.update(more)
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.writelines(line + "\n" for line in lines.values())
    print(f"{len(lines)} cases")


if __name__ == "__main__":
    main()
