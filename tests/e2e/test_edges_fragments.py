"""Datagrams in fragments: each arrives whole at the backend of its unfragmented flow, in any order, beside a flood of fragments; and what is
too large for the way to a backend is cut and arrives."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from lab import Lab, wait_for

PORT = 5300
TOOL = Path(__file__).with_name("datagrams.py")
VIPS = {"4": "192.0.2.20", "6": "2001:db8:0:1::20"}
SOURCES = {("c1", "4"): "198.51.100.10", ("c1", "6"): "2001:db8:c1::10", ("c2", "4"): "198.51.100.74", ("c2", "6"): "2001:db8:c2::10"}
BACKENDS = ["b1", "b2", "b3", "b4"]
DATAGRAMS = 1000
FLOOD = 10 * 1024  # fragments a second: ten times as many datagrams as a worker remembers


def with_udp_port(config):
    return re.sub(r'"(\S+?):80/tcp"', rf'"\1:80/tcp", "\1:{PORT}/udp"', config)


@pytest.fixture(scope="module")
def datagram_lab(binaries, engine):
    it = Lab("frag", engine)
    try:
        it.up()
        it.config.write_text(with_udp_port(it.config.read_text()))
        it.start_lbd()
        for host in BACKENDS:
            # The flood's first fragments reach the backends, where each waits for its rest for half a minute.
            memory = ("net.ipv4.ipfrag_high_thresh=100000000", "net.ipv6.ip6frag_high_thresh=100000000")
            it.run(host, "sysctl", "-qw", *memory)
            it.serve(host, "/usr/bin/python3", TOOL, "serve", host, PORT, *VIPS.values())
        yield it
    finally:
        it.close()


def router_mac(lab, client):
    return json.loads(lab.run("r", "ip", "-j", "link", "show", client).stdout)[0]["address"]


def tool(lab, verb, client, family, *args):
    return ["/usr/bin/python3", TOOL, verb, "eth0", router_mac(lab, client), SOURCES[client, family], VIPS[family], PORT, *args]


def lost(lab):
    return sum(p["rx_lost"] for p in lab.json("stats", "ports")["ports"])


@pytest.mark.parametrize("family", VIPS)
def test_every_datagram_arrives_at_the_backend_of_its_flow(datagram_lab, family):
    """8 KB in six fragments, 5 % of them late, beside a flood of fragments that never make a datagram."""
    lab = datagram_lab
    before, lost_before = lab.totals(), lost(lab)
    floods = [lab.popen("c2", *tool(lab, "flood", "c2", f, FLOOD // 2), stdin=subprocess.PIPE, stdout=subprocess.PIPE) for f in VIPS]
    try:
        wait_for("the flood has filled what a worker holds", lambda: lab.totals()["fragments_held"] - before["fragments_held"] > 1000)
        report = json.loads(lab.run("c1", *tool(lab, "send", "c1", family, DATAGRAMS)).stdout)
    finally:
        flooded = [json.loads(p.communicate("")[0]) for p in floods]
    after = lab.totals()
    print(report, flooded, {k: after[k] - before[k] for k in after if "fragment" in k or k in ("forwarded", "held", "handed_out")})
    assert report["lost"] == 0 and report["wrong"] == [], report
    assert set(report["backends"]) == set(BACKENDS)
    assert lost(lab) == lost_before
    wait_for("none is held any longer", lambda: lab.totals()["held"] == 0)
    wait_for("the verdicts sum", lab.counters_sum)


# Without DF, and answered by a checksum of what arrived.
WITHOUT_DF = """
import json, os, socket, sys, zlib
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
s.settimeout(2)
good = 0
for size in [1380, 1400, 1401, 1472, 2000, 8000] * 5:
    data = os.urandom(size)
    s.sendto(data, (sys.argv[1], int(sys.argv[2])))
    name, number, crc, length = json.loads(s.recv(2048))
    good += (crc, length) == (zlib.crc32(data), size)
print(good)
"""


def told(lab, size):
    return lab.json("explain", "udp", "198.51.100.10:4000", f"{VIPS['4']}:{PORT}", "--size", size)["answers"][0]


@pytest.mark.parametrize("mtu", [1400, 576])
def test_what_is_too_large_for_the_way_is_cut_and_arrives(datagram_lab, mtu):
    lab = datagram_lab
    route = ("10.1.0.0/24", "dev", "lan", "proto", "kernel", "scope", "link", "src", "10.1.0.2")
    before = lab.totals()
    try:
        lab.run("lbd", "ip", "route", "replace", *route, "mtu", mtu)
        wait_for("lbd knows the smaller path", lambda: told(lab, mtu)["verdict"] != "forwarded")
        assert lab.run("c1", "/usr/bin/python3", "-c", WITHOUT_DF, VIPS["4"], PORT).stdout == "30\n"
    finally:
        lab.run("lbd", "ip", "route", "replace", *route)
    after = lab.totals()
    print({k: after[k] - before[k] for k in ("forwarded", "pieces_sent", "too_big")})
    assert after["pieces_sent"] - before["pieces_sent"] >= 40
    wait_for("the verdicts sum", lab.counters_sum)
