"""Engine xdp on virtio NICs of the kernel's, native, on Linux 6.1: real connections, and lbd's death."""

import os
import signal

import network
from daemon import Daemon
from guest import BUILD, PCI, bind, interface_of, ip, run
from network import BACKENDS, LBD_LAN, LBD_WAN, VIPS
from test_forward import answered
from test_vlans import IN as VLAN_IN
from test_vlans import check_vlans, tagged
from transfers import Transfers
from world import settled

FOLDER = "/run/lbd-xdp"
MTU = {"wan": 1500, "lan": 1600}


def to_the_kernel():
    """Both NICs, with lbd's addresses on interfaces of the ports' names; r sends the VIPs there."""
    for name, pci in PCI.items():
        bind(pci, "virtio-pci")
        nic = interface_of(pci)
        ip([f"link set dev {nic} down", f"link set dev {nic} name {name} mtu {MTU[name]} up"] +
           [f"address add {a}/{64 if network.is6(a) else 24} dev {name} {'nodad' if network.is6(a) else ''}"
            for a in (LBD_WAN if name == "wan" else LBD_LAN)])
        run("ethtool", "-L", name, "combined", "2")
    ip([f"route replace default via {a[:-1]}1" for a in LBD_WAN])
    ip([f"route replace {vip} via {LBD_WAN[network.is6(vip)]}" for vip in VIPS], "r")


def test_every_case_on_this_kernel(_world):
    """What a kernel makes of the program is its verifier's and its compiler's doing: the conformance cases, and the verifier's budget."""
    assert os.uname().release.startswith("6.1."), os.uname().release
    told = run(BUILD / "tests" / "conformance" / "conformance_xdp", "--gtest_brief=1")
    print(told.strip())
    assert "instructions verified" in told, told


def test_native_on_virtio_nics(world):
    assert os.uname().release.startswith("6.1."), os.uname().release
    world.stop()
    for twin in ("lbd-wan", "lbd-lan"):
        run("ip", "link", "delete", twin, check=False)
    to_the_kernel()
    lbd = world.daemon = Daemon(FOLDER, network.configuration(FOLDER, {"wan": "native", "lan": "native"}, engine="xdp"))
    try:
        lbd.start()
        settled(lbd)
        drivers = {p["driver"] for p in lbd.json("stats", "ports")["ports"]}
        assert drivers == {"xdp native"}, drivers
        for vip in VIPS:
            names = answered(vip, 8)
            assert len(names) >= 2 and names <= set(BACKENDS), (vip, names)
        # The kernel keeps its interface.
        for address in LBD_WAN:
            run("ping", "-c", "3", "-i", "0.2", "-W", "5", address, ns="c")
        tagged(None, "wan", VLAN_IN)
        check_vlans(lbd, "lan", "wan")
        ip([f"link delete wan.{VLAN_IN}"])
        with Transfers() as transfers:
            transfers.open(20, "192.0.2.20", "d", 300)
            transfers.open(20, "2001:db8:0:1::21", "u", 300)
            lbd.stop(signal.SIGKILL)
            transfers.beat()
            answered(VIPS[0], 4)
            lbd.start()
            transfers.beat()
            transfers.finish()
        assert lbd.json("stats", "workers")["balanced"]
    finally:
        world.stop()
        for pci in PCI.values():
            bind(pci, "vfio-pci")
