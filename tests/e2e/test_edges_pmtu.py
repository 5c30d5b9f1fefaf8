"""Packets that no longer fit, on the way to a client and on the way to a backend: real kernels find out by ICMP alone, nothing clamps the
MSS. The router of the lab is the narrow place: a route with a smaller MTU makes it answer as a narrow link would."""

import contextlib
import json
import re
from pathlib import Path

import pytest

from lab import PATHS, V4, V6, Lab, shares, wait_for

TUNNELS = [path for path in PATHS if path.startswith("ipip")]
OUTER = {"ipip 4in4": 20, "ipip 6in4": 20, "ipip 4in6": 40, "ipip 6in6": 40}
BACKENDS = ["b1", "b2", "b3", "b4"]
BYTES = 3_000_000
UDP_PORT = 9000
PROBE = Path(__file__).with_name("udp_probe.py")


@pytest.fixture(scope="session")
def narrow_lab(binaries, engine):
    """A lab whose ipip services take UDP too; every backend echoes it."""
    it = Lab("pmtu", engine)
    try:
        it.up()
        it.config.write_text(re.sub(r'"(\S+\.2[01]|\[\S+:2[01]\]):80/tcp"', rf'"\1:80/tcp", "\1:{UDP_PORT}/udp"', it.config.read_text()))
        it.start_lbd()
        (it.dir / "upload").write_bytes(b"x" * BYTES)
        vips = [f"{V4}.20", f"{V4}.21", f"{V6}:20", f"{V6}:21"]
        for host in BACKENDS:
            it.serve(host, "/usr/bin/python3", PROBE, "serve", UDP_PORT, *vips)
        yield it
    finally:
        it.close()


def forget_paths(lab):
    """What the kernels of the lab have learnt about paths; lbd starts anew."""
    for host in ["c1", "c2", *BACKENDS]:
        lab.run(host, "ip", "-4", "route", "flush", "cache")
        lab.run(host, "ip", "-6", "route", "flush", "cache")
        lab.run(host, "ip", "tcp_metrics", "flush", check=False)


@contextlib.contextmanager
def routes(lab, *changes):
    """Routes for a while: (host, prefix, how...); what was there of the same prefix comes back. With the metric of the kernel's own routes,
    which these take the place of."""
    undo = []
    try:
        for host, prefix, *how in changes:
            family = "-6" if ":" in prefix else "-4"
            before = lab.run(host, "ip", family, "route", "show", prefix).stdout.split("\n")[0].split()
            lab.run(host, "ip", family, "route", "replace", prefix, *how, *(["metric", "256"] if family == "-6" else []))
            undo.append((host, family, prefix, before, how))
        yield
    finally:
        for host, family, prefix, before, how in reversed(undo):
            if before:
                lab.run(host, "ip", family, "route", "replace", *[word for word in before if word not in ("linkdown",)])
            else:
                lab.run(host, "ip", family, "route", "del", prefix)


def narrow_to_clients(lab, mtu):
    return routes(lab, ("r", "198.51.100.0/26", "dev", "c1", "mtu", "lock", mtu), ("r", "2001:db8:c1::/64", "dev", "c1", "mtu", "lock", mtu))


def narrow_to_backends(lab, mtu):
    """lbd reaches its backends by way of r, whose way to them is narrow; they are on r's LAN, so that r alone knows."""
    changes = []
    for i in range(11, 15):
        four, six = f"10.1.0.{i}/32", f"2001:db8:b::{i}/128"
        changes += [("lbd", four, "via", "10.1.0.1", "dev", "lan"), ("lbd", six, "via", "2001:db8:b::1", "dev", "lan"),
                    ("r", four, "dev", "lan", "mtu", "lock", mtu), ("r", six, "dev", "lan", "mtu", "lock", mtu)]
    return routes(lab, *changes)


@contextlib.contextmanager
def without_errors(lab):
    """r neither makes nor forwards ICMP, but what hosts say to r itself."""
    rules = [("-4", "icmp"), ("-6", "ipv6-icmp")]
    try:
        for family, proto in rules:
            lab.run("r", "ip", family, "rule", "add", "pref", "100", "ipproto", proto, "blackhole")
        yield
    finally:
        for family, _ in rules:
            lab.run("r", "ip", family, "rule", "del", "pref", "100")


def upload(lab, url, seconds=20):
    """Returns what the backend said it got, or None when that took too long."""
    done = lab.run("c1", "curl", "-sS", "-m", seconds, "-H", "Expect:", "--data-binary", f"@{lab.dir}/upload", url + "post", check=False)
    return done.stdout.split()[1] if done.returncode == 0 else None


def udp(lab, url, size, seconds=10):
    address = re.search(r"//\[?([^]/]+)\]?/", url).group(1)
    done = lab.run("c1", "/usr/bin/python3", PROBE, "send", address, UDP_PORT, size, seconds, check=False)
    return json.loads(done.stdout)["size"]


@pytest.mark.parametrize("path", PATHS)
def test_errors_about_downloads_reach_the_backend_that_sends(narrow_lab, path):
    forget_paths(narrow_lab)
    before = narrow_lab.totals()["icmp_errors_forwarded"]
    with narrow_to_clients(narrow_lab, 1400):
        results = narrow_lab.connect("c1", PATHS[path] + "big", 72, concurrency=8, timeout=20)
    assert [(r.get("error"), r.get("bytes")) for r in results if r.get("bytes") != BYTES] == []
    # The smallest share is a sixth: one run in 250,000 leaves that one out.
    assert set(shares(results)) == set(BACKENDS)
    # Each backend had to be told.
    assert narrow_lab.totals()["icmp_errors_forwarded"] - before >= len(BACKENDS)


# The controls are about kernels, not about engines: once is enough.
@pytest.mark.engines("dpdk")
@pytest.mark.parametrize("path", ["dsr 4", "ipip 6in4"])
def test_without_these_errors_downloads_hang(narrow_lab, path):
    forget_paths(narrow_lab)
    with narrow_to_clients(narrow_lab, 1400), without_errors(narrow_lab):
        results = narrow_lab.connect("c1", PATHS[path] + "big", 4, concurrency=4, timeout=3)
    assert [r for r in results if "error" not in r] == []


def shown(lab, backend):
    return lab.json("backend", "show", backend)


def restart(lab):
    lab.restart_lbd()
    wait_for("every backend is reached", lambda: all(b["mtu"] == 1600 for b in lab.json("backend", "list")["backends"]))


# What fits into 1,400; IPv6 packets of 1,280 bytes exactly; and what only IPv4 can do with.
NARROW = [(path, mtu) for path in TUNNELS for mtu in (1400, 1280 + OUTER[path])] + [("ipip 4in4", 1280), ("ipip 4in6", 1280)]


@pytest.mark.engines("dpdk", "xdp-native")
@pytest.mark.parametrize("path,mtu", NARROW)
def test_a_narrow_way_to_the_backends_is_found_out(narrow_lab, path, mtu):
    lab, url = narrow_lab, PATHS[path]
    with narrow_to_backends(lab, mtu):
        forget_paths(lab)
        restart(lab)
        for _ in range(4):
            assert upload(lab, url) == str(BYTES)
        results = lab.connect("c1", url + "big", 4, concurrency=2, timeout=20)
        assert [(r.get("error"), r.get("bytes")) for r in results] == [(None, BYTES)] * 4
        headers = 48 if " 6" in path else 28
        assert udp(lab, url, 1500 - headers) == mtu - OUTER[path] - headers
    told = [b for b in lab.json("backend", "list")["backends"] if b["path_mtu"]]
    assert told and {b["path_mtu"]["mtu"] for b in told} == {mtu}
    assert {b["path_mtu"]["from"] for b in told} <= {"10.1.0.1", "2001:db8:b::1"}
    assert {(b["mtu"], b["mtu_from"]) for b in told} == {(mtu, "path")}


@pytest.mark.engines("dpdk")
@pytest.mark.parametrize("path", ["ipip 4in4", "ipip 6in6"])
def test_without_errors_to_the_client_uploads_hang(narrow_lab, path):
    lab = narrow_lab
    with narrow_to_backends(lab, 1400), without_errors(lab):
        forget_paths(lab)
        restart(lab)
        assert upload(lab, PATHS[path], seconds=3) is None


@pytest.mark.engines("dpdk")
def test_too_little_for_ipv6_is_said(narrow_lab):
    lab = narrow_lab
    with narrow_to_backends(lab, 1290):
        forget_paths(lab)
        restart(lab)
        for _ in range(8):
            upload(lab, PATHS["ipip 4in4"])
        told = [b for b in lab.json("backend", "list", "fe/*")["backends"] if b["path_mtu"]]
        assert told
        for b in told:
            assert b["warning"] == "IPv6 packets of 1280 bytes do not fit: MTU 1290, 20 bytes of outer header"
            assert b["warning"] in lab.lbctl("backend", "show", f"fe/{b['name']}")
