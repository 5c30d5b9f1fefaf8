"""A port that the NIC shares with the kernel by rules of its own. No NIC of the guest can do that; a TAP that takes from an interface of the
kernel can, by tc, and is asked by the same calls of rte_flow."""

import re
import signal
from contextlib import contextmanager
from pathlib import Path

import network
from daemon import Daemon
from guest import PCI, bind, interface_of, ip, run, sysctl
from network import BACKENDS, CLIENT, LBD_WAN, VIPS
from test_exception import Echo
from test_forward import answered, nobody_answers
from transfers import Transfers
from world import FOLDER, settled

WAN = PCI["wan"]
TAP = "lbd-rules"  # where tc sends what is owned
NEW = {4: "192.0.2.50", 6: "2001:db8:0:1::50"}


@contextmanager
def shared_nic(world):
    """lbd with its port wan on an interface that the kernel keeps, with the host's addresses; the NIC is on vfio-pci again afterwards."""
    world.stop()
    if Path("/sys/class/net/lbd-wan").exists():
        run("ip", "link", "delete", "lbd-wan")
    bind(WAN, "virtio-pci")
    nic = interface_of(WAN)
    ip([f"link set dev {nic} up"] + [f"address add {a}/{64 if network.is6(a) else 24} dev {nic} {'nodad' if network.is6(a) else ''}" for a in LBD_WAN] +
       [f"route replace default via {a[:-1]}1" for a in LBD_WAN])
    lbd = world.daemon = Daemon(FOLDER, network.configuration(FOLDER, {"wan": f"net_tap0,iface={TAP},remote={nic}", "lan": PCI["lan"]}))
    try:
        lbd.start()
        sysctl([f"net.ipv6.conf.{TAP}.disable_ipv6=1"])  # the kernel has nothing to say there by itself
        ip([f"address replace {a}/{64 if network.is6(a) else 24} dev lbd-lan {'nodad' if network.is6(a) else ''}" for a in network.LBD_LAN])
        ip([f"route replace {vip} via {LBD_WAN[network.is6(vip)]}" for vip in (*VIPS, *NEW.values())], "r")
        settled(lbd)
        yield lbd, nic
    finally:
        world.stop()
        ip([f"route del {vip}" for vip in NEW.values()], "r")
        bind(WAN, "vfio-pci")


def owned(nic):
    """What tc takes from the interface: the destinations."""
    return set(re.findall(r"dst_ip (\S+)", run("tc", "filter", "show", "dev", nic, "ingress")))


def reachable():
    for address in LBD_WAN:
        run("ping", "-c", "3", "-i", "0.2", "-W", "10", address, ns="c")


def test_what_is_owned_is_balanced_and_the_rest_is_the_kernels(world):
    with shared_nic(world) as (lbd, nic):
        port = lbd.json("port", "show", "wan")
        mac = run("cat", f"/sys/class/net/{nic}/address").strip()
        assert (port["driver"], port["ifname"], port["twin"], port["mac"], port["link"]) == ("net_tap (bifurcated)", nic, "", mac, True), port
        assert owned(nic) == set(VIPS)
        # ARP, neighbour discovery and ping, both ways, of which lbd sees nothing.
        before = lbd.json("port", "show", "wan")["rx_packets"]
        run("ip", "-n", "r", "neigh", "flush", "dev", "wan")
        run("ip", "neigh", "flush", "dev", nic)
        reachable()
        for address in CLIENT:
            run("ping", "-c", "3", "-i", "0.2", "-W", "10", address)
        assert lbd.json("port", "show", "wan")["rx_packets"] == before
        for vip in VIPS:
            names = answered(vip)
            assert len(names) >= 2 and names <= set(BACKENDS), (vip, names)
        assert lbd.json("stats", "workers")["balanced"]


def test_what_is_owned_comes_behind_a_tag_too(world):
    """It has an interface of the kernel's only so that the NIC lets that VLAN in."""
    with shared_nic(world) as (lbd, nic):
        mac = run("cat", f"/sys/class/net/{nic}/address").strip()
        run("modprobe", "8021q")
        ip([f"link add link {nic} name {nic}.7 type vlan id 7"])
        ip(["link add link wan name wan.7 type vlan id 7", "link set dev wan.7 up"], "r")
        try:
            for vip in ("192.0.2.10", "2001:db8:0:1::10"):
                ip([f"neigh replace {vip} lladdr {mac} dev wan.7 nud permanent", f"route replace {vip} dev wan.7"], "r")
                answered(vip, 4)
        finally:
            run("ip", "-n", "r", "link", "delete", "wan.7")
        assert lbd.json("stats", "workers")["balanced"]


def test_the_set_changes_under_traffic(world):
    """Connections to a VIP that stays, and a session of the host's own, on the same interface meanwhile."""
    with shared_nic(world) as (lbd, nic), Transfers() as transfers:
        for host in BACKENDS:
            ip([f"address add {vip} dev lo {'nodad' if network.is6(vip) else ''}" for vip in NEW.values()], host)
        sessions = [Echo(address) for address in LBD_WAN]
        for vip in ("192.0.2.10", "2001:db8:0:1::10", "192.0.2.21"):
            transfers.open(20, vip, "u", 100)
        for _ in range(2):
            for family, vip in NEW.items():
                lbd.lbctl("service", "add", f"new{family}", "--listen", f"[{vip}]:80/tcp" if family == 6 else f"{vip}:80/tcp", "--pool", f"fe{family}", "--forward", "dsr")
                assert owned(nic) == {*VIPS, *(v for f, v in NEW.items() if f <= family)}
                answered(vip, 4)
            transfers.beat()
            for session in sessions:
                session.send(10_000)
                session.receive()
            for family in NEW:
                lbd.lbctl("service", "remove", f"new{family}")
            assert owned(nic) == set(VIPS)
            nobody_answers(NEW.values())
            transfers.beat()
        for session in sessions:
            session.close()
        transfers.finish()
        assert lbd.json("stats", "workers")["balanced"]


def test_the_kernel_keeps_its_sessions_when_lbd_is_killed(world):
    with shared_nic(world) as (lbd, _):
        sessions = [Echo(address) for address in LBD_WAN]
        lbd.stop(signal.SIGKILL)
        nobody_answers(VIPS)
        for session in sessions:
            session.send(100_000)
            session.receive()
        reachable()
        lbd.start()
        for vip in VIPS:
            answered(vip, 4)
        for session in sessions:
            session.send(1000)
            session.receive()
            session.close()
