"""Turns the JUnit file of a pytest run into results lines, see run_gtest.py: run_pytest.py JUNIT.xml RESULTS."""

import sys
import xml.etree.ElementTree as ElementTree


def main():
    with open(sys.argv[2], "a", encoding="utf-8") as results:
        for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            bad = [e for e in case if e.tag in ("failure", "error")]
            skipped = [e for e in case if e.tag == "skipped"]
            kind = "fail" if bad else "skip" if skipped else "pass"
            reason = (bad or skipped)[0].get("message") or "" if bad or skipped else ""
            results.write("\t".join((kind, name, " ".join(reason.split())[:300])) + "\n")


if __name__ == "__main__":
    main()
