"""What the tests share: the network, the backends' server, the lbd that most of them use."""

import subprocess
import sys
from pathlib import Path

import network
from daemon import Daemon
from guest import PCI, wait_for, run

FOLDER = Path("/run/lbd")


def settled(daemon):
    """Every backend has a next hop."""
    def eligible():
        backends = daemon.json("backend", "list")["backends"]
        return len(backends) == 2 * len(network.BACKENDS) and all(b["eligible"] for b in backends)
    wait_for("all backends are eligible", eligible)


class World:
    def __enter__(self):
        network.build()
        self.servers = [subprocess.Popen([sys.executable, str(Path(__file__).with_name("web.py")), *network.BACKENDS],
                                         stdout=subprocess.PIPE, text=True)]
        self.daemon = None
        assert self.servers[0].stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.stop()
        for server in self.servers:
            server.kill()
            server.wait()

    def lbd(self):
        """The standard one: both NICs by vfio-pci, two workers, addresses on its twins."""
        if self.daemon is None or self.daemon.process is None:
            self.daemon = Daemon(FOLDER, network.configuration(FOLDER, PCI))
            self.daemon.start()
            network.twin_addresses()
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
