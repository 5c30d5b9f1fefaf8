"""Prints where this machine gets Debian from, read from its apt configuration, one line an entry:

URI <tab> SUITE <tab> COMPONENTS <tab> KEYRING (a file, or - for apt's trusted keys)

apt_sources.py CODENAME [ETC_APT [KEY_FOLDER]]. Both formats: one-line (.list) and deb822 (.sources). Only suites of Debian itself
(CODENAME, -updates, -security): a fresh machine has no third party's. A key that stands in the file itself goes to KEY_FOLDER.
"""

import re
import sys
from pathlib import Path


def one_line(path):
    for line in path.read_text().splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]+)", line)
        if match:
            options = dict(o.split("=", 1) for o in (match["options"] or "").split() if "=" in o)
            yield match["uri"], match["suite"], match["components"].split(), options.get("signed-by", "")


def stanzas(text):
    """Fields by lower-case name; comment lines may stand anywhere, a line that starts with a blank goes on."""
    for block in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields, name = {}, None
        for line in block.splitlines():
            if line[:1] in " \t" and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def deb822(path):
    for fields in stanzas(path.read_text()):
        if fields.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, fields.get("components", "").split(), fields.get("signed-by", "")


def direct(uri):
    """The first mirror of a local list of mirrors (mirror+file:, as cloud images have it): debootstrap knows no lists."""
    if not uri.startswith("mirror+file:"):
        return uri
    lines = Path(uri.removeprefix("mirror+file:")).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


def keyring(value, folder):
    if "BEGIN PGP" in value:
        lines = [("" if line == "." else line) for line in value.strip().splitlines()]
        path = Path(folder) / "inline.asc"
        path.write_text("\n".join(lines) + "\n")
        return str(path)
    files = [part for part in re.split(r"[,\s]+", value) if part.startswith("/")]
    return files[0] if files else "-"


def main():
    codename = sys.argv[1]
    etc = Path(sys.argv[2] if len(sys.argv) > 2 else "/etc/apt")
    key_folder = sys.argv[3] if len(sys.argv) > 3 else "/tmp"
    parts = etc / "sources.list.d"
    lists = [etc / "sources.list", *sorted(parts.glob("*.list"))]
    entries = [e for p in lists if p.is_file() for e in one_line(p)]
    entries += [e for p in sorted(parts.glob("*.sources")) for e in deb822(p)]
    suites = (codename, f"{codename}-updates", f"{codename}-security", f"{codename}/updates")
    seen = set()
    for uri, suite, components, signed in entries:
        if suite in suites and "main" in components and (uri, suite) not in seen:
            seen.add((uri, suite))
            print("\t".join((direct(uri), suite, " ".join(components), keyring(signed, key_folder))))


if __name__ == "__main__":
    main()
