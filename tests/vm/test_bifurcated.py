"""A port that the NIC shares with the kernel by rules of its own. No NIC of the guest can do that; a TAP that takes from an interface of the
kernel can, by tc, and is asked by the same calls of rte_flow."""

import re
import signal
from contextlib import contextmanager
from pathlib import Path

import network
from daemon import Daemon
from guest import PCI, bind, interface_of, ip, run
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
        ip([f"address replace {a}/{64 if network.is6(a) else 24} dev lbd-lan {'nodad' if network.is6(a) else ''}" for a in network.LBD_LAN])
        ip([f"route replace {vip} via {LBD_WAN[network.is6(vip)]}" for vip in (*VIPS, *NEW.values())], "r")
        settled(lbd)
        yield lbd, nic
    finally:
        world.stop()
        ip([f"route del {vip}" for vip in NEW.values()], "r")
        bind(WAN, "vfio-pci")


def rules(nic):
    """What tc takes from the interface: the destinations."""
    return re.findall(r"dst_ip (\S+)", run("tc", "filter", "show", "dev", nic, "ingress"))


def test_try(world):
    with shared_nic(world) as (lbd, nic):
        print(lbd.log())
        print(run("tc", "-s", "filter", "show", "dev", nic, "ingress"))
        print(run("tc", "-s", "filter", "show", "dev", TAP, "ingress"))
        print(run("tc", "-s", "qdisc", "show"))
        print(run("tc", "filter", "show", "dev", TAP, "root"))
        print(lbd.lbctl("port", "show", "wan"), run("ip", "a"))
        for vip in VIPS:
            try:
                print(vip, answered(vip))
            except Exception as e:
                print(vip, repr(e))
        for address in LBD_WAN:
            print(run("ping", "-c", "3", "-i", "0.2", "-W", "3", address, ns="c", check=False))
        print(run("tc", "-s", "filter", "show", "dev", nic, "ingress"))
        print(run("tc", "-s", "filter", "show", "dev", TAP, "ingress"))
        print(lbd.lbctl("stats"))
        print(lbd.lbctl("port", "show", "wan"))
        assert 0
