"""The main job: real connections, real HTTP, through two workers, both families, every mode."""

import pytest

from lab import PATHS, V4, V6, chi_square_p, shares, wait_for

WEIGHTS = {"b1": 100, "b2": 100, "b3": 50, "b4": 50}


@pytest.mark.parametrize("path", PATHS)
def test_every_mode_and_family_pair_carries_connections(lab, path):
    results = lab.connect("c1", PATHS[path], 60)
    assert [r for r in results if "error" in r] == []
    assert set(shares(results)) == set(WEIGHTS)


@pytest.mark.parametrize("path", PATHS)
def test_three_megabytes_arrive_whole(lab, path):
    results = lab.connect("c2", PATHS[path] + "big", 4, concurrency=2, timeout=30)
    assert [(r.get("error"), r.get("bytes")) for r in results] == [(None, 3000000)] * 4


def test_ten_thousand_connections_two_workers_shares_by_weight(lab):
    before = lab.received()
    results = []
    for client, path in (("c1", "dsr 4"), ("c2", "ipip 6in6"), ("c2", "ipip 4in4"), ("c1", "dsr 6")):
        # From ports that no earlier test had: a port that comes again has the backend of then, chosen by the weights of then, until
        # another flow needs its entry.
        results += lab.connect(client, PATHS[path], 2500, source_ports=12000)
    failed = [r for r in results if "error" in r]
    assert failed == [], f"{len(failed)} of {len(results)} failed"
    p = chi_square_p(shares(results), WEIGHTS)
    print(f"shares {shares(results)} against weights {WEIGHTS}: p = {p:.4f}")
    assert p > 0.001
    rx = [b - a for a, b in zip(before, lab.received())]
    print(f"packets by worker: {rx}")
    assert len(rx) == (2 if lab.engine == "dpdk" else 5)
    for worker, packets in enumerate(rx[:2] if lab.queues == 2 else []):
        assert 0.40 <= packets / sum(rx[:2]) <= 0.60, f"worker {worker} carried {packets} of {rx} packets"
    wait_for("the verdicts sum", lab.counters_sum)


# An HTTP request over a connection whose packets all have an IP option (no operation), or a destination-options header (padding).
WITH_OPTIONS = """
import socket, sys
address = sys.argv[1]
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
if ":" in address:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 1, 1, 1]))
s.settimeout(20)
s.connect((address, 80))
s.sendall(b"GET /big HTTP/1.0\\r\\n\\r\\n")
got = 0
while piece := s.recv(65536):
    got += len(piece)
print(got)
"""


@pytest.mark.parametrize("address", [f"{V4}.10", f"{V4}.20", f"{V6}:10", f"{V6}:21"])
def test_packets_with_ip_options_are_forwarded_too(lab, address):
    """With engine xdp by the exception path: the program hands them to the pipeline in lbd."""
    before = lab.totals()
    got = int(lab.run("c1", "/usr/bin/python3", "-c", WITH_OPTIONS, address).stdout)
    assert 3000000 < got < 3001000
    wait_for("the verdicts sum", lab.counters_sum)

    def handed():
        after = lab.totals()
        return {c: after[c] - before[c] for c in ("handed_out", "handed_in")}

    if lab.engine != "dpdk":
        # The last packets of the connection may be on their way still.
        wait_for("what was handed out came in", lambda: handed()["handed_in"] == handed()["handed_out"] >= 5)
    print(handed())


def test_ping_arp_and_the_hosts_own_services_still_work_on_lbds_interfaces(lab):
    lab.run("r", "ping", "-c", "2", "-W", "2", "203.0.113.2")
    lab.run("r", "ping", "-6", "-c", "2", "-W", "2", "2001:db8:a::2")
    lab.run("b1", "ping", "-c", "2", "-W", "2", "10.1.0.2")
    server = lab.popen("lbd", "/usr/bin/python3", "-m", "http.server", "--bind", "203.0.113.2", "8022")
    try:
        wait_for("the host's own TCP service answers",
                 lambda: lab.run("c1", "curl", "-sf", "-m", "2", "-o", "/dev/null", "http://203.0.113.2:8022/", check=False).returncode == 0)
    finally:
        server.terminate()
        server.wait()


def test_what_has_no_listener_is_dropped_by_name(lab):
    before = lab.totals()["no_listener"]
    assert lab.connect("c1", f"http://{V4}.10:81/", 1, timeout=0.5)[0].get("error")
    assert lab.totals()["no_listener"] > before


@pytest.mark.engines("dpdk", "xdp-native")
def test_control_without_decapsulation_no_tunnelled_connection(lab_without_decap):
    it = lab_without_decap
    assert [r for r in it.connect("c1", PATHS["dsr 4"], 4) if "error" in r] == []
    results = it.connect("c1", PATHS["ipip 4in4"], 4, timeout=1) + it.connect("c1", PATHS["ipip 6in6"], 4, timeout=1)
    assert all("error" in r for r in results)
    assert it.totals()["forwarded"] > 0
