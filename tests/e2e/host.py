"""A host as small as it can be, for tests of what lbd and lbctl refuse."""

import os
import subprocess
from pathlib import Path

from lab import LBCTL, LBD, entering, forget_flows, forget_pins, wait_for

ENGINES = {
    "dpdk": "engine: dpdk\n  dpdk: {{workers: [{workers}], huge-pages: off, ports: [{{name: a, device: {device}}}]}}",
    "xdp-native": "engine: xdp\n  xdp: {{interfaces: [{{name: {device}, mode: native}}]}}",
    "xdp-generic": "engine: xdp\n  xdp: {{interfaces: [{{name: {device}, mode: generic}}]}}",
}


def engine_lines(engine, device="up0", workers="0, 1"):
    """Of `daemon`. A worker of engine xdp is a queue of the interface."""
    return ENGINES[engine].format(device=device, workers=workers)


REST = """version: 1
daemon:
  socket: {dir}/lbd.sock
  state-dir: {dir}/state
  hash-key-file: {dir}/hash-key
  flows: 4096
  {engine}
pools:
  fe: {{backends: [{{name: b1, address: 10.9.0.11}}, {{name: b2, address: 10.9.0.12, weight: 50}}]}}
services:
  web: {{listen: ["192.0.2.10:80/tcp"], pool: fe, forward: ipip}}
"""


def good_config(folder, device, engine="dpdk"):
    return REST.format(dir=folder, engine=engine_lines(engine, device, "0"))


class Host:
    """A namespace with a veth `up0`, and an lbd that is started by hand."""

    def __init__(self, engine, tmp_path, name="refuse"):
        self.engine = engine
        self.ns, self.dir = f"lbd-{name}-{os.getpid()}", tmp_path
        subprocess.run(["ip", "netns", "add", self.ns], check=True)
        subprocess.run(["ip", "-n", self.ns, "link", "add", "up0", "type", "veth", "peer", "name", "up1"], check=True)
        for link in ("lo", "up0", "up1"):
            subprocess.run(["ip", "-n", self.ns, "link", "set", link, "up"], check=True)
        subprocess.run(["ip", "-n", self.ns, "addr", "add", "10.9.0.1/24", "dev", "up0"], check=True)
        (tmp_path / "state").mkdir(exist_ok=True)
        self.processes = []

    def config(self, device="up0", **replace):
        text = good_config(self.dir, device, self.engine)
        for old, new in replace.items():
            text = text.replace(old, new)
        path = self.dir / "lbd.yaml"
        path.write_text(text)
        return path

    def start(self, config, prefix=()):
        log = open(self.dir / "log", "a")
        process = subprocess.Popen([*entering(self.engine, self.ns), *prefix, LBD, "--config", config], stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def refused(self, config, prefix=()):
        """Starts lbd, which must end by itself with an error, and returns what it said."""
        before = (self.dir / "log").stat().st_size if (self.dir / "log").exists() else 0
        process = self.start(config, prefix)
        assert process.wait(timeout=30) != 0
        return (self.dir / "log").read_text()[before:]

    def lbctl(self, *args):
        return subprocess.run([LBCTL, "-s", self.dir / "lbd.sock", *args], capture_output=True, text=True, timeout=30)

    def ready(self, process):
        wait_for("lbd answers", lambda: process.poll() is not None or self.lbctl("stats").returncode == 0, 30)
        assert process.poll() is None, (self.dir / "log").read_text()

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(timeout=20)
        for folder in (self.dir, *filter(Path.is_dir, self.dir.iterdir())):
            forget_flows(folder)
            forget_pins(folder)
        subprocess.run(["ip", "netns", "del", self.ns], check=True)
