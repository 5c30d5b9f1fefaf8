"""Every BPF program of ours on the guest's kernel: lbd on kernel interfaces (AF_XDP with our filter, tc), decapsulation by lbctl decap."""

from pathlib import Path

import network
from daemon import Daemon
from guest import LBCTL, run
from network import BACKENDS, X_LAN, X_SERVICES, X_TUNNELLED, X_VIPS
from test_forward import answered
from web import fetch
from world import settled

FOLDER = Path("/run/lbd-x")


def decap(verb, host, *more):
    return run(LBCTL, "decap", verb, "eth0", *more, ns=host)


def attach(host):
    options = [o for address in X_LAN for o in ("--from", f"{address}/{128 if network.is6(address) else 32}")]
    decap("attach", host, *options, *(o for vip in X_TUNNELLED for o in ("--vip", vip)))


def test_lbd_on_kernel_interfaces_and_our_decapsulation(world):
    world.stop()
    network.build_x()
    lbd = Daemon(FOLDER, network.configuration(FOLDER, {"wan": "wan", "lan": "lan"}, X_SERVICES, "off"), ns="x")
    world.daemon = lbd
    network.decapsulation(False)
    try:
        lbd.start()
        settled(lbd)
        print(lbd.lbctl("stats", "ports"))
        for vip in X_TUNNELLED:
            try:
                got = fetch(vip, timeout=2.0)
            except TimeoutError:
                continue
            raise AssertionError(f"{vip} answered without decapsulation: {got}")
        for host in BACKENDS:
            attach(host)
        for vip in X_VIPS:
            names = answered(vip)
            assert len(names) >= 2 and names <= set(BACKENDS), (vip, names)
        for host in BACKENDS:
            print(host, decap("show", host))
            decap("detach", host)
        # The kernel keeps its interface: what is not ours passes the filter.
        for address in network.X_WAN:
            run("ping", "-c", "3", "-i", "0.2", "-W", "5", address, ns="c")
        assert lbd.json("stats", "workers")["balanced"]
    finally:
        network.decapsulation(True)
        world.stop()
