"""What operators look with (ping, traceroute, tracepath, mtr), and what clients of a closed port see: a VIP behaves as a router and a host do."""

import errno
import re
import subprocess

import pytest

from lab import V4, V6, wait_for

SERVED = {4: f"{V4}.10", 6: f"{V6}:10"}  # port 80 has a service, all others are dropped
POLITE = {4: f"{V4}.30", 6: f"{V6}:30"}  # all other ports are rejected
PLAIN = {4: "198.51.100.74", 6: "2001:db8:c2::10"}  # c2, an ordinary host behind the same router
ROUTER = {4: "198.51.100.1", 6: "2001:db8:c1::1"}  # r, as c1 sees it
LBD = {4: "203.0.113.2", 6: "2001:db8:a::2"}  # lbd's port, by which c1's packets come in
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def edge(lab):
    """The lab with a service that rejects, and with hosts that do not limit their own ICMP errors (Linux: one a second)."""
    for host in ("r", "c2"):
        lab.run(host, "sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
    lab.lbctl("service", "add", "polite", "--listen", f"{POLITE[4]}:80/tcp", "--listen", f"[{POLITE[6]}]:80/tcp", "--pool", "fe",
              "--on-no-listener", "reject")
    yield lab
    lab.lbctl("service", "remove", "polite")


def sent_and_received(text):
    return tuple(int(n) for n in re.search(r"(\d+) packets transmitted, (\d+) received", text).groups())


@FAMILIES
@pytest.mark.parametrize("options", ["-c 5 -i 0.1", "-c 3 -i 0.1 -s 1400", "-c 3 -i 0.1 -s 0", "-c 3 -i 0.1 -s 1452 -M do", "-c 3 -i 0.1 -t 2", "-f -c 300"])
def test_ping_as_a_host_answers_it(edge, family, options):
    before = edge.totals()
    told = {}
    for name, target in (("VIP", SERVED[family]), ("host", PLAIN[family])):
        done = edge.run("c1", "ping", f"-{family}", "-n", "-W", "2", *options.split(), target)
        told[name] = sent_and_received(done.stdout)
        assert "errors" not in done.stdout and "DUP" not in done.stdout and "wrong" not in done.stdout, done.stdout
    assert told["VIP"] == told["host"] and told["VIP"][0] == told["VIP"][1]
    wait_for("each was answered", lambda: edge.totals()["answered"] - before["answered"] == told["VIP"][0])
    wait_for("the verdicts sum", edge.counters_sum)
    assert edge.totals()["forwarded"] == before["forwarded"]


def test_ping_with_options_is_answered_without_them(edge):
    done = edge.run("c1", "ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", "-R", SERVED[4])
    assert sent_and_received(done.stdout) == (2, 2)


def hops(lab, family, target, *options):
    """The addresses that traceroute tells, hop by hop; what a router adds to them in brackets aside."""
    done = lab.run("c1", "traceroute", f"-{family}", "-n", "-q", "1", "-N", "1", "-w", "1", "-m", "6", *options, target)
    return [re.sub(r" +[\d.]+ ms.*$", "", line[4:]).strip() for line in done.stdout.splitlines()[1:]]


@FAMILIES
def test_traceroute_by_udp_ends_at_an_address_that_rejects(edge, family):
    assert hops(edge, family, POLITE[family]) == [ROUTER[family], POLITE[family]]
    assert hops(edge, family, PLAIN[family]) == [ROUTER[family], PLAIN[family]]


@FAMILIES
def test_traceroute_by_udp_never_ends_at_one_that_drops(edge, family):
    assert hops(edge, family, SERVED[family]) == [ROUTER[family]] + ["*"] * 5


@FAMILIES
@pytest.mark.parametrize("target", [SERVED, POLITE])
def test_traceroute_by_icmp_ends_at_the_address(edge, family, target):
    assert hops(edge, family, target[family], "-I") == [ROUTER[family], target[family]]
    assert hops(edge, family, PLAIN[family], "-I") == [ROUTER[family], PLAIN[family]]


@FAMILIES
def test_traceroute_by_tcp_sees_lbd_as_a_router_before_the_service(edge, family):
    assert hops(edge, family, SERVED[family], "-T", "-p", "80") == [ROUTER[family], LBD[family], SERVED[family]]
    assert hops(edge, family, POLITE[family], "-T", "-p", "81") == [ROUTER[family], POLITE[family]]


def tracepath(lab, family, target):
    """(path MTU, hops, reached) as tracepath tells it."""
    out = lab.run("c1", "tracepath", f"-{family}", "-n", "-m", "6", target).stdout
    last = re.search(r"Resume: pmtu (\d+)(?: hops (\d+))?", out)
    return int(last[1]), last[2] and int(last[2]), "reached" in out


@FAMILIES
def test_tracepath_says_of_a_vip_what_it_says_of_a_host(edge, family):
    assert tracepath(edge, family, POLITE[family]) == tracepath(edge, family, PLAIN[family]) == (1500, 2, True)


def mtr(lab, family, target, *options):
    """(address, packets lost in per cent) hop by hop."""
    out = lab.run("c1", "mtr", f"-{family}", "-n", "-r", "-c", "3", "-i", "0.3", "-G", "1", "-m", "6", *options, target).stdout
    return re.findall(r"^ +\d+\.\|-- (\S+) +([\d.]+)%", out, re.M)


@FAMILIES
def test_mtr_reports_no_loss(edge, family):
    whole = "0.0"
    assert mtr(edge, family, SERVED[family]) == [(ROUTER[family], whole), (SERVED[family], whole)]
    assert mtr(edge, family, PLAIN[family]) == [(ROUTER[family], whole), (PLAIN[family], whole)]
    assert mtr(edge, family, SERVED[family], "-T", "-P", "80") == [(ROUTER[family], whole), (LBD[family], whole), (SERVED[family], whole)]


# What a connection to a closed port ends with, and after how long: errno, or 0 for one that is made.
TRY = """
import socket, sys, time
address, port, kind, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(seconds)
try:
    s.connect((address, port))
    if kind == "udp":
        s.send(b"hello")
        s.recv(1)
    print(0)
except TimeoutError:
    print("timeout")
except OSError as e:
    print(e.errno)
"""


def attempt(lab, address, port, kind, seconds):
    return lab.run("c1", "/usr/bin/python3", "-c", TRY, address, str(port), kind, str(seconds)).stdout.strip()


@FAMILIES
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_closed_port_is_refused_at_once_where_the_service_rejects(edge, family, kind):
    before = edge.totals()
    assert attempt(edge, POLITE[family], 81, kind, 20) == str(errno.ECONNREFUSED)
    wait_for("it is counted", lambda: edge.totals()["answered"] > before["answered"])
    assert edge.totals()["no_listener"] == before["no_listener"]


@FAMILIES
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_closed_port_is_silent_where_the_service_drops(edge, family, kind):
    before = edge.totals()
    assert attempt(edge, SERVED[family], 81, kind, 0.5) == "timeout"
    wait_for("it is counted", lambda: edge.totals()["no_listener"] > before["no_listener"])
    assert edge.totals()["answered"] == before["answered"]


def test_explain_tells_the_answer(edge):
    told = edge.lbctl("explain", "udp", "198.51.100.10:40000", f"{POLITE[4]}:33434")
    assert "is answered with port unreachable: nobody listens there." in told
    answer = edge.json("explain", "tcp", "198.51.100.10:40000", f"{POLITE[4]}:81")["answers"][0]
    assert (answer["verdict"], answer["reason"], answer["egress"]["port"]) == ("answered", "no_listener", "wan")


def test_services_of_one_address_must_agree(edge):
    told = edge.lbctl("service", "add", "other", "--listen", f"{POLITE[4]}:53/udp", "--pool", "fe", exit_code=1)
    assert "reject in service polite" in told and "config apply" in told


@FAMILIES
def test_a_flood_is_answered_within_the_limit(edge, family):
    """Of 200 datagrams to closed ports of one source, at once: a burst of 20 and ten a second; the others are dropped by name."""
    flood = "import socket, sys\ns = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)\n" \
            "for port in range(1000, 1200): s.sendto(b'x', (sys.argv[1], port))\n"
    before = edge.totals()
    edge.run("c2", "/usr/bin/python3", "-c", flood, POLITE[family])

    def told():
        now = edge.totals()
        return {c: now[c] - before[c] for c in ("answered", "no_listener")}

    wait_for("all have a verdict", lambda: sum(told().values()) == 200)
    # Two workers, each with limits of its own, and a lab that may take a second for it.
    assert 20 <= told()["answered"] <= 80, told()
    done = subprocess.run(edge.argv("c1", "ping", f"-{family}", "-c", "1", "-W", "2", POLITE[family]), capture_output=True)
    assert done.returncode == 0, "others are answered all the same"


@FAMILIES
def test_ranges_and_any_port_carry_connections_the_narrower_first(lab, family):
    vip, pool = {4: (f"{V4}.31", "fe"), 6: (f"{V6}:31", "fe6")}[family]
    host = f"[{vip}]" if family == 6 else vip
    backends = ("b1", "b2", "b3", "b4")
    for b in backends:
        lab.run(b, "ip", "address", "add", f"{vip}/{128 if family == 6 else 32}", "dev", "lo", *(["nodad"] if family == 6 else []))

    def winner(port):
        source = "[2001:db8:c1::10]" if family == 6 else "198.51.100.10"
        return lab.json("explain", "tcp", f"{source}:40000", f"{host}:{port}")["answers"][0]["listener"]

    def connections():
        return [r for r in lab.connect("c1", f"http://{host}/", 20) if "error" in r]

    try:
        lab.lbctl("service", "add", "wide", "--listen", f"{host}:*/tcp", "--pool", pool, "--forward", "dsr")
        assert winner(80) == winner(91) == f"{host}:*/tcp"
        assert connections() == []
        lab.lbctl("service", "add", "range", "--listen", f"{host}:70-90/tcp", "--pool", pool, "--forward", "dsr")
        assert [winner(p) for p in (69, 70, 90, 91)] == [f"{host}:{p}/tcp" for p in ("*", "70-90", "70-90", "*")]
        assert connections() == []
        lab.lbctl("service", "add", "exact", "--listen", f"{host}:80/tcp", "--pool", pool, "--forward", "dsr")
        assert [winner(p) for p in (79, 80, 81)] == [f"{host}:{p}/tcp" for p in ("70-90", "80", "70-90")]
        assert connections() == []
    finally:
        for service in lab.json("service", "list")["services"]:
            if service["name"] in ("wide", "range", "exact"):
                lab.lbctl("service", "remove", service["name"])
        for b in backends:
            lab.run(b, "ip", "address", "del", f"{vip}/{128 if family == 6 else 32}", "dev", "lo")
