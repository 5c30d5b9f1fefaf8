"""Every BPF program of ours on the guest's kernel: lbd on kernel interfaces (AF_XDP with our filter, tc), decapsulation by lbctl decap."""

import json
import os
from pathlib import Path

import network
from daemon import Daemon
from guest import LBCTL, run
from network import BACKENDS, X_LAN, X_SERVICES, X_TUNNELLED, X_VIPS
from test_forward import REQUESTS, answered, nobody_answers
from world import settled

FOLDER = Path("/run/lbd-x")


LARGE = 4000  # of an AF_XDP port there is room for 3,042 bytes: lbd takes AF_PACKET and its tc program instead


def decap(verb, host, *more):
    return run(LBCTL, "--json", "decap", verb, "eth0", *more, ns=host)


def attach(host):
    options = [o for address in X_LAN for o in ("--from", f"{address}/{128 if network.is6(address) else 32}")]
    decap("attach", host, *options, *(o for vip in X_TUNNELLED for o in ("--vip", vip)), "--mss", "1200")


def counted(name):
    """Of decapsulation, at all backends."""
    return sum(c["value"] for host in BACKENDS for c in json.loads(decap("show", host))["counters"] if c["name"] == name)


def start(world, driver, **config):
    lbd = world.daemon = Daemon(FOLDER, network.configuration(FOLDER, {"wan": "wan", "lan": "lan"}, X_SERVICES, "off", **config), ns="x")
    lbd.start()
    settled(lbd)
    drivers = {p["driver"] for p in lbd.json("stats", "ports")["ports"]}
    assert drivers == {driver}, drivers
    return lbd


def everything_answers(lbd):
    for vip in X_VIPS:
        names = answered(vip)
        assert len(names) >= 2 and names <= set(BACKENDS), (vip, names)
    # The kernel keeps its interface: what is not ours passes the filter.
    for address in network.X_WAN:
        run("ping", "-c", "3", "-i", "0.2", "-W", "5", address, ns="c")
    assert lbd.json("stats", "workers")["balanced"]


def test_lbd_on_kernel_interfaces_and_our_decapsulation(world):
    # What passes the verifier of this one passes that of Debian 12.
    assert os.uname().release.startswith("6.1."), os.uname().release
    world.stop()
    network.build_x()
    network.decapsulation(False)
    try:
        lbd = start(world, "af_xdp native")
        nobody_answers(X_TUNNELLED)
        for host in BACKENDS:
            attach(host)
        everything_answers(lbd)
        world.stop()
        network.larger_x(LARGE)
        everything_answers(start(world, "af_packet", mtu=LARGE))
        packets, lowered = counted("decapsulated_ipip"), counted("mss_clamped")
        print(f"{packets} packets taken out of ipip, the MSS of {lowered} SYN-ACKs lowered")
        # SYN, ACK, request, FIN, ACK; with both kinds of ports. One SYN-ACK a connection.
        assert packets >= 5 * 2 * REQUESTS * len(X_TUNNELLED) and lowered >= 2 * REQUESTS * len(X_TUNNELLED)
        for host in BACKENDS:
            decap("detach", host)
        nobody_answers(X_TUNNELLED)
    finally:
        network.decapsulation(True)
        world.stop()
