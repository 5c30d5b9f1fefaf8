"""Two lbd nodes of one fleet, one with each engine, with one hash key; the lab's router spreads flows over both."""

import signal

from conftest import FlowLab
from lab import wait_for
from transfers import Servers, with_transfer_port

GATEWAYS = {"lbd": ("203.0.113.2", "2001:db8:a::2"), "lbd2": ("10.2.0.2", "2001:db8:d::2")}
# A next hop that did not answer while the machine was busy is asked again after 30 s at the latest.
PATIENCE_S = 60
PREFIXES = ("192.0.2.0/24", "2001:db8:0:1::/64")


def live(node):
    """Service -> digest of the table in use."""
    return {s["service"]: s["live"] for s in node.json("table", "digest")["services"]}


class Fleet:
    """A with statement takes it down, whatever became of it."""

    def __init__(self, name, edit=lambda text: text):
        """edit: what is made of each node's configuration."""
        self.edit = edit
        self.nodes = [FlowLab(name, "dpdk"), FlowLab(name, "xdp-native", "lbd2")]
        self.servers = None

    def __enter__(self):
        try:
            self.nodes[0].up("--fleet")
            for node in self.nodes:
                node.config.write_text(self.edit(with_transfer_port(node.config.read_text())))
                node.start_lbd()
            for node in self.nodes:
                self.wait_resolved(node)
            self.servers = Servers(self.nodes[0])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.servers:
            self.servers.close()
        for node in self.nodes:
            if node.daemon:
                node.stop_lbd()
        self.nodes[0].script("down")

    @staticmethod
    def wait_resolved(node):
        wait_for("every next hop is resolved", lambda: all(b["eligible"] for b in node.json("backend", "list")["backends"]), PATIENCE_S)

    def forget_flows(self):
        """A client port that comes again within an earlier connection's time would have its entry, on either node, pinned perhaps."""
        for node in self.nodes:
            node.lbctl("flow", "flush", "--all")

    def node(self, name):
        return next(n for n in self.nodes if n.node == name)

    def route(self, nodes):
        """r sends what is for a VIP to these."""
        for i, prefix in enumerate(PREFIXES):
            ways = [word for node in nodes for word in ("nexthop", "via", GATEWAYS[node.node][i])]
            self.nodes[0].run("r", "ip", "route", "replace", prefix, *ways)

    def lose(self, node):
        """lbd is dead there, and nothing reaches the node any more: an XDP program would go on."""
        self.route([n for n in self.nodes if n is not node])
        node.stop_lbd(signal.SIGKILL)

    def bring_back(self, node):
        """Packets reach it when its table is the others' again: next hops have to be resolved anew."""
        node.start_lbd()
        wait_for("the nodes' tables are equal", lambda: len({str(live(n)) for n in self.nodes}) == 1, PATIENCE_S)
        self.route(self.nodes)

    def ctl(self, *args):
        """The same command on every node, each of which changes by it."""
        for node in self.nodes:
            answer = node.json(*args, "--allow-reshuffle", "dsr", "--allow-reshuffle", "tun")
            assert answer["changed"] and answer["late_workers"] == [], (node.node, answer)
