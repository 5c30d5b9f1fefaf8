"""VLANs in and out, different ones: clients' packets come in VLAN 20, where this host has no address, and backends are in VLAN 30, because
the kernel's routes to them lead there."""

from contextlib import contextmanager

import network
from guest import ip, run, wait_for
from network import BACKENDS, LBD_WAN, VIPS, backend_address, is6
from test_forward import answered
from transfers import Transfers

IN, OUT = 20, 30
OURS = ("10.30.0.1/24", "2001:db8:30::1/64")


def tagged(host, device, number):
    ip([f"link add link {device} name {device}.{number} type vlan id {number}", f"link set dev {device}.{number} up"], host)


@contextmanager
def vlans(lan, wan_mac):
    """Backends answer for the same addresses in VLAN 30 of `lan`, the kernel's name for that port; r sends what is for a VIP in VLAN 20."""
    run("modprobe", "8021q")
    try:
        tagged(None, lan, OUT)
        ip([f"address add {a} dev {lan}.{OUT} {'nodad' if is6(a) else ''}" for a in OURS])
        for host in BACKENDS:
            tagged(host, "eth0", OUT)
            both = [f"{backend_address(host, 4)}/32", f"{backend_address(host, 6)}/128"]
            ip([f"address add {a} dev eth0.{OUT} {'nodad' if is6(a) else ''}" for a in both] +
               [f"route add {net} dev eth0.{OUT}" for net in ("10.30.0.0/24", "2001:db8:30::/64")], host)
            ip([f"route add {a} dev {lan}.{OUT}" for a in both])
        tagged("r", "wan", IN)
        for vip in VIPS:
            ip([f"neighbour replace {vip} lladdr {wan_mac} dev wan.{IN} nud permanent", f"route replace {vip} dev wan.{IN}"], "r")
        yield
    finally:
        ip([f"route replace {vip} via {LBD_WAN[is6(vip)]} dev wan" for vip in VIPS] + [f"link delete wan.{IN}"], "r")
        for host in BACKENDS:
            ip([f"link delete eth0.{OUT}"], host)
        ip([f"link delete {lan}.{OUT}"])


def in_vlan(lbd, number):
    backends = lbd.json("backend", "list")["backends"]
    return all(b["eligible"] and b["vlan"] == number for b in backends)


def check_vlans(lbd, lan, wan):
    """lan, wan: the kernel's names for the ports. (A NIC of the kernel's lets in only those VLANs that the kernel has.)"""
    mac = run("cat", f"/sys/class/net/{wan}/address").strip()
    with Transfers() as transfers:
        transfers.open(10, "192.0.2.20", "d", 300)
        with vlans(lan, mac):
            wait_for("the backends are in the VLAN", lambda: in_vlan(lbd, OUT))
            before = lbd.totals()
            seen = int(run("cat", f"/sys/class/net/eth0.{OUT}/statistics/rx_packets", ns="b1"))
            for vip in VIPS:
                names = answered(vip, 12)
                assert len(names) >= 2 and names <= set(BACKENDS), (vip, names)
            assert lbd.totals()["forwarded"] - before["forwarded"] >= 4 * 12 * len(VIPS)
            assert int(run("cat", f"/sys/class/net/eth0.{OUT}/statistics/rx_packets", ns="b1")) > seen
            egress = lbd.json("explain", "tcp", "198.51.100.10:40000", "192.0.2.20:80")["answers"][0]["egress"]
            assert (egress["port"], egress["vlan"]) == ("lan", OUT), egress
            assert f"by port lan in VLAN {OUT}" in lbd.lbctl("backend", "show", "fe4/b1")
            # Connections that began untagged go on.
            transfers.beat()
        wait_for("the backends are untagged again", lambda: in_vlan(lbd, None))
        transfers.beat()
        transfers.finish()
    network.forget_neighbours("r")
    answered(VIPS[0], 2)
    assert lbd.json("stats", "workers")["balanced"]


def test_from_one_vlan_to_another(world):
    check_vlans(world.lbd(), "lbd-lan", "lbd-wan")
