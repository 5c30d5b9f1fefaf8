"""The host's own addresses on NICs that its kernel does not see: ARP, neighbour discovery, ping, TCP."""

import signal
import socket
import threading

from guest import namespace, run
from network import CLIENT, LBD_WAN
from transfers import Transfers

PORT = 7000


def test_the_kernel_answers_arp_nd_and_ping(world):
    lbd = world.lbd()
    before = lbd.totals()
    run("ip", "-n", "r", "neigh", "flush", "dev", "wan")
    for address in LBD_WAN:
        run("ping", "-c", "5", "-i", "0.2", "-W", "10", address, ns="c")
    mac = run("cat", "/sys/class/net/lbd-wan/address").strip()
    for address in LBD_WAN:
        known = run("ip", "-n", "r", "neigh", "show", "dev", "wan", "to", address)
        assert f"lladdr {mac} " in known, known
    # The host asks, too.
    run("ip", "neigh", "flush", "dev", "lbd-wan")
    for address in CLIENT:
        run("ping", "-c", "5", "-i", "0.2", "-W", "10", address)
    after = lbd.totals()
    # ARP or neighbour discovery once, then ten echoes of each family.
    assert after["punted"] - before["punted"] >= 2 * (1 + 10), (before, after)
    assert lbd.json("stats", "workers")["balanced"]


class Echo:
    """A TCP session of the host itself: one connection that is answered byte for byte, on one of its addresses on the NIC."""

    def __init__(self, address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, PORT), family=family)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        with namespace("c"):
            self.client = socket.socket(family)
        self.client.settimeout(60)
        self.client.connect((address, PORT))
        self.sent = 0

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            while piece := connection.recv(65536):
                connection.sendall(piece)

    def send(self, size):
        self.sent += 1
        self.text = f"{self.sent} ".encode() * (size // 4)
        self.client.sendall(self.text)

    def receive(self):
        got = b""
        while len(got) < len(self.text):
            piece = self.client.recv(65536)
            assert piece, "the session has ended"
            got += piece
        assert got == self.text

    def nothing_comes(self):
        self.client.settimeout(1)
        try:
            got = self.client.recv(1)
        except TimeoutError:
            self.client.settimeout(60)
            return
        raise AssertionError(f"an answer without lbd: {got}")

    def close(self):
        self.client.close()
        self.thread.join(30)
        self.listener.close()
        assert not self.thread.is_alive(), "the session has not ended"


def test_sessions_survive_sigkill_and_restart(world):
    """The host's own, by the twin, which stays; and clients' to backends, by the flow table."""
    lbd = world.lbd()
    sessions = [Echo(address) for address in LBD_WAN]
    with Transfers() as transfers:
        transfers.open(50, "192.0.2.20", "d", 300)
        transfers.open(50, "2001:db8:0:1::21", "u", 300)
        for session in sessions:
            for size in (10, 1000, 100_000):
                session.send(size)
                session.receive()
        lbd.stop(signal.SIGKILL)
        for session in sessions:
            session.send(1000)
        # The control: it is lbd that carries them.
        for session in sessions:
            session.nothing_comes()
        lbd.start()
        for session in sessions:
            session.receive()
            session.send(100_000)
            session.receive()
        transfers.beat()
        transfers.finish()
    for session in sessions:
        session.close()
    assert lbd.json("stats", "workers")["balanced"]
