"""The kernel's IPVS beside lbd, over the same backends and the same way back: the reference."""

from concurrent.futures import ThreadPoolExecutor

import network
from guest import run
from network import BACKENDS, IPVS_VIPS
from web import fetch

REQUESTS = 80  # with a fifth of the weight, a backend gets none of them once in 14 million runs


def with_port(address):
    return f"[{address}]:80" if network.is6(address) else f"{address}:80"


def director():
    """Maglev hashing and ipip, as our services tun and (IPv6 in IPv6) tun6."""
    rules = []
    for vip, family in zip(IPVS_VIPS, (4, 6)):
        address = with_port(vip)
        rules.append(f"-A -t {address} -s mh -b mh-port")
        for name, weight in BACKENDS.items():
            rules.append(f"-a -t {address} -r {with_port(network.backend_address(name, family))} -i -w {weight}")
    run("ipvsadm", "-R", ns="d", stdin="\n".join(rules) + "\n")
    network.ip([f"address replace {vip} dev lo {'nodad' if network.is6(vip) else ''}" for vip in IPVS_VIPS], "d")


def test_lbd_and_ipvs_serve_the_same(world):
    """Two clients at a time, one by each way: all requests complete, from the same backends, with the same text but for the port and the VIP."""
    world.lbd()
    director()
    for ours, theirs in zip(("192.0.2.20", "2001:db8:0:1::21"), IPVS_VIPS):
        with ThreadPoolExecutor(2) as two:
            a, b = (list(r) for r in two.map(lambda vip: [fetch(vip) for _ in range(REQUESTS)], (ours, theirs)))
        assert len(a) == len(b) == REQUESTS
        assert {name for name, _ in a} == {name for name, _ in b} == set(BACKENDS), (a, b)
        client = network.CLIENT[network.is6(ours)]
        for vip, answers in ((ours, a), (theirs, b)):
            for name, text in answers:
                words = text.split()
                assert words[:3] == [name, "client", client] and words[5:] == ["at", vip], text
