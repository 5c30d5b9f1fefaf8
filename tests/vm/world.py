"""What the tests share: the network, the backends' server, the lbd that most of them use."""

import subprocess
import sys
from pathlib import Path

import network
from daemon import Daemon
from guest import PCI, TOOLS, run, wait_for

FOLDER = Path("/run/lbd")
TRANSFER_PORT = 9000  # of tests/tools/transfer_server, beside HTTP


def settled(daemon):
    """Every backend has a next hop."""
    def eligible():
        backends = daemon.json("backend", "list")["backends"]
        return len(backends) == 2 * len(network.BACKENDS) and all(b["eligible"] for b in backends)
    wait_for("all backends are eligible", eligible)


class World:
    def __enter__(self):
        network.build()
        commands = [[sys.executable, str(Path(__file__).with_name("web.py")), *network.BACKENDS]]
        commands += [["ip", "netns", "exec", name, str(TOOLS / "transfer_server"), name, str(TRANSFER_PORT)] for name in network.BACKENDS]
        self.servers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
        self.daemon = None
        for server in self.servers:
            assert server.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.stop()
        for server in self.servers:
            server.kill()
            server.wait()

    def lbd(self):
        """The standard one: both NICs by vfio-pci, two workers, addresses on its twins."""
        if self.daemon is None or self.daemon.process is None:
            self.start(PCI)
        return self.daemon

    def start(self, devices, wan=network.LBD_WAN):
        """On these, with these addresses on wan."""
        self.daemon = Daemon(FOLDER, network.configuration(FOLDER, devices))
        self.daemon.start()
        network.twin_addresses(wan)
        settled(self.daemon)
        return self.daemon

    def stop(self):
        if self.daemon and self.daemon.process:
            self.daemon.stop()

    def tell(self):
        """After a failure: what lbd and the kernel say."""
        if self.daemon:
            print("--- lbd's log ---", self.daemon.log(), sep="\n")
            if self.daemon.process and self.daemon.answers():
                print(self.daemon.lbctl("stats"))
        print(run("ip", "-br", "address"), run("ip", "neigh"))
