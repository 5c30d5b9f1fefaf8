"""Announced VIPs: what a router's table does when a node withdraws, drains, stops or dies, and that connections through the other node go on."""

import json
import signal
import subprocess
import time

import pytest
from fleet import Fleet
from lab import wait_for
from routing import Frr, Keepalived, bird_of_node, bird_of_router, ways
from transfers import Transfers

CONNECTIONS = 120
# service -> its VIPs, as scripts/lab writes them. Of pool fe: dsr, tun; of fe6: dsr6, tun6.
VIPS = {
    "dsr": ["192.0.2.10"],
    "dsr6": ["2001:db8:0:1::10"],
    "tun": ["192.0.2.20", "2001:db8:0:1::20"],
    "tun6": ["192.0.2.21", "2001:db8:0:1::21"],
}
ALL = sorted(vip for vips in VIPS.values() for vip in vips)
BOTH = {"lbd", "lbd2"}
DELAY_S, ORPHAN_S = 3, 4
PATIENCE_S = 30


def announcing(text):
    text = text.replace("  flows: 65536\n", f"  flows: 65536\n  shutdown-delay: {DELAY_S}s\n  orphan-after: {ORPHAN_S}s\n")
    return text.replace("\npools:\n", "\ndefaults: {announce: on}\n\npools:\n", 1)


class Announcing(Fleet):
    """The fleet behind a router that knows the VIPs from BGP only."""

    def __init__(self, name):
        super().__init__(name, announcing)
        self.daemons = {}

    def __enter__(self):
        super().__enter__()
        try:
            for prefix in ("192.0.2.0/24", "2001:db8:0:1::/64"):
                self.nodes[0].run("r", "ip", "route", "del", prefix)
            self.daemons["r"] = bird_of_router(self.nodes[0])
            for node in self.nodes:
                self.daemons[node.node] = bird_of_node(node)
            self.wait_ways({vip: BOTH for vip in ALL})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *args):
        for daemon in self.daemons.values():
            daemon.close()
        super().__exit__(*args)

    def ways(self):
        return ways(self.nodes[0])

    def wait_ways(self, expected):
        """expected: VIP -> nodes; who has none is not in the router's table."""
        expected = {vip: nodes for vip, nodes in expected.items() if nodes}
        wait_for(f"the router has {expected}, not {self.ways()}", lambda: self.ways() == expected, PATIENCE_S)

    def other(self, node):
        return next(n for n in self.nodes if n is not node)


@pytest.fixture(scope="module")
def fleet(binaries):
    with Announcing("announce") as it:
        yield it
    for node in it.nodes:
        left = subprocess.run(["pgrep", "-f", f"hold-announcement {node.socket}"], capture_output=True, text=True).stdout
        assert left == "", left


@pytest.fixture(autouse=True)
def ready(fleet):
    """Whatever became of a test, the next one meets two nodes that announce everything."""
    yield
    for node in fleet.nodes:
        if node.daemon is None:
            node.start_lbd()
        node.lbctl("node", "ready")
        for service in VIPS:
            node.lbctl("service", "announce", service)


@pytest.fixture(params=["lbd", "lbd2"], ids=["dpdk", "xdp"])
def node(fleet, request):
    return fleet.node(request.param)


def without(fleet, node, vips):
    return {vip: {fleet.other(node).node} if vip in vips else BOTH for vip in ALL}


def state_of(node):
    return {v["address"]: v["announced"] for v in node.json("node", "status")["vips"]}


def problems(node):
    return node.json()["problems"]


def assert_all_live(transfers):
    transfers.beat()
    assert transfers.broken() == []


def test_routes_are_on_a_device_that_lbd_owns(fleet, node):
    assert state_of(node) == {vip: True for vip in ALL}
    for family in ("-4", "-6"):
        routes = node.run(node.node, "ip", family, "route", "show", "proto", 201).stdout.splitlines()
        assert sorted(r.split()[0] for r in routes) == [vip for vip in ALL if (":" in vip) == (family == "-6")]
        assert all("dev lbd-vip" in r for r in routes), routes
    assert node.run(node.node, "ip", "address", "show", "dev", "lbd-vip").stdout.count("inet") == 0
    # Who sends to a VIP from the host itself is not answered, and the device does not clog.
    before = node.json("node", "status")["vip_packets_dropped"]
    node.run(node.node, "ping", "-c", 3, "-i", 0.2, "-W", 1, "192.0.2.10", check=False)
    wait_for("packets of the host are counted", lambda: node.json("node", "status")["vip_packets_dropped"] >= before + 3)


def test_withdraw_and_announce_of_a_service(fleet, node):
    with Transfers(node, CONNECTIONS) as transfers:
        assert node.json("service", "withdraw", "tun", "--reason", "new certificates")["changed"]
        fleet.wait_ways(without(fleet, node, VIPS["tun"]))
        assert_all_live(transfers)
        shown = node.json("service", "show", "tun")["announcement"]
        assert shown["withdrawn"]["reason"] == "new certificates" and not shown["announced"], shown
        assert {v["address"]: v["why"] for v in shown["vips"]} == {vip: "service tun is withdrawn" for vip in VIPS["tun"]}
        assert any("tun is withdrawn" in p for p in problems(node)), problems(node)
        assert not node.json("service", "withdraw", "tun", "--reason", "new certificates")["changed"]
        assert node.json("service", "announce", "tun")["changed"]
        fleet.wait_ways({vip: BOTH for vip in ALL})
        assert_all_live(transfers)
        assert not node.json("service", "announce", "tun")["changed"]


def test_a_withdrawal_survives_a_restart_and_expires(fleet, node):
    node.lbctl("service", "withdraw", "dsr", "--expires", "15s")
    node.lbctl("service", "withdraw", "tun6")
    node.restart_lbd()
    try:
        wait_for("both are still withdrawn after the restart", lambda: not state_of(node)["192.0.2.10"] and not state_of(node)["192.0.2.21"])
        fleet.wait_ways(without(fleet, node, VIPS["tun6"]))
        assert not state_of(node)["192.0.2.21"]
    finally:
        node.lbctl("service", "announce", "tun6")
    fleet.wait_ways({vip: BOTH for vip in ALL})


def test_a_drained_node_gets_nothing_and_keeps_forwarding(fleet, node):
    with Transfers(node, CONNECTIONS) as transfers:
        assert node.json("node", "drain", "--reason", "new kernel")["changed"]
        fleet.wait_ways(without(fleet, node, ALL))
        assert_all_live(transfers)
        status = node.json("node", "status")
        assert status["drained"]["reason"] == "new kernel" and status["drained"]["uid"] == 0, status
        assert {v["why"] for v in status["vips"]} == {"the node is drained"}
        assert problems(node)[0].startswith("the node is drained since "), problems(node)
        # What routers still send is forwarded: this one sends everything to the drained node alone.
        gateway = "203.0.113.2" if node.node == "lbd" else "10.2.0.2"
        node.run("r", "ip", "route", "add", "192.0.2.20/32", "via", gateway, "metric", 1)
        try:
            before = node.totals()["forwarded"]
            transfers.probe(50, "192.0.2.20")
            assert node.totals()["forwarded"] > before + 100
        finally:
            node.run("r", "ip", "route", "del", "192.0.2.20/32", "via", gateway, "metric", 1)
        assert node.json("node", "ready")["changed"]
        fleet.wait_ways({vip: BOTH for vip in ALL})
        assert_all_live(transfers)


def test_vips_without_an_eligible_backend_are_withdrawn(fleet, node):
    try:
        node.lbctl("backend", "drain", "fe/*", "--all", "--allow-below", "fe=0", "--allow-reshuffle", "dsr", "--allow-reshuffle", "tun")
        fleet.wait_ways(without(fleet, node, VIPS["dsr"] + VIPS["tun"]))
        assert any("192.0.2.10 is not announced: service dsr has no eligible backend in pool fe" in p for p in problems(node)), problems(node)
    finally:
        node.lbctl("backend", "ready", "fe/*", "--all", "--allow-reshuffle", "dsr", "--allow-reshuffle", "tun")
    fleet.wait_ways({vip: BOTH for vip in ALL})


def test_sigterm_withdraws_first_and_ends_later(fleet, node):
    with Transfers(node, CONNECTIONS) as transfers:
        node.daemon.send_signal(signal.SIGTERM)
        start = time.monotonic()
        fleet.wait_ways(without(fleet, node, ALL))
        assert node.daemon.poll() is None, "it forwards while the router learns of it"
        assert node.json("node", "status")["stopping"]
        assert problems(node)[0].startswith("lbd is stopping"), problems(node)
        assert node.daemon.wait(timeout=20) == 0
        assert time.monotonic() - start >= DELAY_S - 0.5, "it ended before its delay was over"
        node.daemon = None
        assert node.run(node.node, "ip", "link", "show", "lbd-vip", check=False).returncode != 0
        assert_all_live(transfers)
        node.start_lbd()
        fleet.wait_ways({vip: BOTH for vip in ALL})
        assert_all_live(transfers)


def test_a_second_signal_ends_it_at_once(fleet, node):
    node.daemon.send_signal(signal.SIGTERM)
    wait_for("it is stopping", lambda: node.json("node", "status")["stopping"])
    assert node.daemon.poll() is None
    node.daemon.send_signal(signal.SIGTERM)
    assert node.daemon.wait(timeout=10) == 0
    log = (node.dir / "lbd.log").read_text()
    assert "after_s=0" in log.rpartition("stopping")[2], log[-500:]
    node.daemon = None
    node.start_lbd()
    fleet.wait_ways({vip: BOTH for vip in ALL})


def test_a_killed_node_with_engine_dpdk_is_withdrawn_by_the_kernel(fleet):
    node = fleet.node("lbd")
    with Transfers(node, CONNECTIONS) as transfers:
        node.stop_lbd(signal.SIGKILL)
        assert node.run(node.node, "ip", "link", "show", "lbd-vip", check=False).returncode != 0, "the kernel took it away"
        fleet.wait_ways(without(fleet, node, ALL))
        assert_all_live(transfers)
        node.start_lbd()
        fleet.wait_ways({vip: BOTH for vip in ALL})
        assert_all_live(transfers)


def test_a_killed_node_with_engine_xdp_stays_announced_as_long_as_it_forwards(fleet):
    node = fleet.node("lbd2")
    with Transfers(node, CONNECTIONS) as transfers:
        node.stop_lbd(signal.SIGKILL)
        assert fleet.ways() == {vip: BOTH for vip in ALL}
        fleet.wait_ways(without(fleet, node, ALL))
        assert node.run(node.node, "ip", "link", "show", "lbd-vip", check=False).returncode != 0
        assert "announcement_ends" in (node.dir / "lbd.log").read_text()
        transfers.beat()
    node.start_lbd()
    fleet.wait_ways({vip: BOTH for vip in ALL})


def test_the_next_lbd_takes_the_announcement_over_without_a_gap(fleet):
    node = fleet.node("lbd2")
    monitor = node.popen("r", "ip", "monitor", "route", stdout=subprocess.PIPE)
    try:
        with Transfers(node, CONNECTIONS) as transfers:
            index = node.run(node.node, "cat", "/sys/class/net/lbd-vip/ifindex", check=False).stdout
            node.stop_lbd(signal.SIGKILL)
            node.start_lbd()
            wait_for("everything is announced", lambda: all(state_of(node).values()), PATIENCE_S)
            assert_all_live(transfers)
            assert node.run(node.node, "cat", "/sys/class/net/lbd-vip/ifindex", check=False).stdout == index
        time.sleep(ORPHAN_S + 1)  # a former holder would end by then, and the device with it
        assert fleet.ways() == {vip: BOTH for vip in ALL}
    finally:
        monitor.terminate()
        told = monitor.communicate(timeout=10)[0]
    assert [line for line in told.splitlines() if any(vip in line for vip in ALL)] == []


def test_detached_programs_end_the_announcement(fleet):
    node = fleet.node("lbd2")
    node.stop_lbd(signal.SIGKILL)
    node.lbctl("engine", "detach", "--force")
    fleet.wait_ways(without(fleet, node, ALL))
    node.start_lbd()
    fleet.wait_ways({vip: BOTH for vip in ALL})


def test_a_route_of_somebody_else_is_told_and_left_alone(fleet, node):
    node.lbctl("service", "withdraw", "tun6")
    node.run(node.node, "ip", "route", "add", "blackhole", "192.0.2.21/32")
    try:
        node.lbctl("service", "announce", "tun6")
        assert any("192.0.2.21/32" in p and "is not lbd's" in p for p in problems(node)), problems(node)
        assert "blackhole" in node.run(node.node, "ip", "route", "show", "192.0.2.21/32").stdout
    finally:
        node.run(node.node, "ip", "route", "del", "blackhole", "192.0.2.21/32")
    wait_for("it is announced once that is gone", lambda: all(state_of(node).values()))
    fleet.wait_ways({vip: BOTH for vip in ALL})


def test_announce_off_ends_it_and_the_device_goes_with_the_last(fleet, node):
    text = node.lbctl("config", "show")
    assert node.json("service", "set", "dsr", "--announce", "off")["changed"]
    fleet.wait_ways(without(fleet, node, VIPS["dsr"]))
    off = text.replace("    announce: on\n", "")
    node.lbctl("config", "apply", "-", stdin=off)
    fleet.wait_ways(without(fleet, node, ALL))
    assert node.run(node.node, "ip", "link", "show", "lbd-vip", check=False).returncode != 0
    assert "announce: off" in node.lbctl("service", "withdraw", "dsr", exit_code=1)
    node.lbctl("config", "apply", "-", stdin=text)
    fleet.wait_ways({vip: BOTH for vip in ALL})


def test_frr_redistributes_the_same_routes(fleet):
    """On both nodes: what BIRD and FRR send for one VIP differs, and the router would not take both as equal ways."""
    for node in fleet.nodes:
        fleet.daemons.pop(node.node).close()
    fleet.wait_ways({})
    frr = {}
    try:
        for node in fleet.nodes:
            frr[node.node] = Frr(node)
        fleet.wait_ways({vip: BOTH for vip in ALL})
        for node in fleet.nodes:
            node.lbctl("service", "withdraw", "tun")
            fleet.wait_ways(without(fleet, node, VIPS["tun"]))
            node.lbctl("service", "announce", "tun")
            node.lbctl("node", "drain")
            fleet.wait_ways(without(fleet, node, ALL))
            node.lbctl("node", "ready")
            fleet.wait_ways({vip: BOTH for vip in ALL})
        killed = fleet.node("lbd")
        killed.stop_lbd(signal.SIGKILL)
        fleet.wait_ways(without(fleet, killed, ALL))
        killed.start_lbd()
        fleet.wait_ways({vip: BOTH for vip in ALL})
    finally:
        for node in fleet.nodes:
            if node.node in frr:
                print(frr[node.node].log())
                frr[node.node].close()
            fleet.daemons[node.node] = bird_of_node(node)
    fleet.wait_ways({vip: BOTH for vip in ALL})


def test_vrrp_moves_a_vip_of_one_segment_to_the_node_that_announces_it(fleet):
    """No BGP: r finds the VIP by ARP on the segment of both nodes. lbd has the higher priority."""
    vip = "192.0.2.20"
    first, second = fleet.nodes
    keepers = [Keepalived(node, vip, priority) for node, priority in ((first, 200), (second, 100))]
    try:
        first.run("r", "ip", "route", "replace", f"{vip}/32", "dev", "lan", "metric", 1)
        macs = {json.loads(n.run(n.node, "ip", "-j", "link", "show", "lan").stdout)[0]["address"]: n.node for n in fleet.nodes}

        def holder():
            found = [n for n in json.loads(first.run("r", "ip", "-j", "neigh", "show", vip, "dev", "lan").stdout or "[]") if "lladdr" in n]
            return macs.get(found[0]["lladdr"]) if found else None

        def arrives_at(node):
            with_first = node.totals()["forwarded"]
            first.run("c1", "curl", "-sf", "-m", "2", f"http://{vip}/", check=False)
            return holder() == node.node and node.totals()["forwarded"] > with_first

        def serve_by(node):
            wait_for(f"{node.node} has the VIP", lambda: arrives_at(node), PATIENCE_S)
            assert first.connect("c1", f"http://{vip}/", 50) and all(r["status"] == 200 for r in first.connect("c1", f"http://{vip}/", 50))

        serve_by(first)
        first.lbctl("node", "drain")
        serve_by(second)
        first.lbctl("node", "ready")
        serve_by(first)
        first.stop_lbd(signal.SIGKILL)
        serve_by(second)
        first.start_lbd()
        serve_by(first)
    finally:
        first.run("r", "ip", "route", "del", f"{vip}/32", "dev", "lan", "metric", 1, check=False)
        for keeper in keepers:
            keeper.close()
            print(open(keeper.log.name).read()[-2000:])
