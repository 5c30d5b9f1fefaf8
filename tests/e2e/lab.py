"""The lab as Python objects: a network of namespaces with lbd in it, real clients, real backends. See scripts/lab."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LBD_BUILD", ROOT / "build"))
LBD = BUILD / "dataplane" / "lbd"
LBCTL = BUILD / "ctl" / "lbctl"
PASS = BUILD / "xdp" / "pass.bpf.o"  # a program that passes everything to the kernel
CLIENT = Path(__file__).with_name("client.py")
# The reasons for which a packet is dropped, as docs/counters.md lists them.
DROPS = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "counters.md").read_text().partition("## Drop reasons")[2].partition("\n## ")[0], re.M)
TOOLS = BUILD / "tests" / "tools"
V4, V6 = "192.0.2", "2001:db8:0:1:"
# service -> URL; backends by IPv4 address (dsr, tun) and by IPv6 address (dsr6, tun6).
PATHS = {
    "dsr 4": f"http://{V4}.10/",
    "dsr 6": f"http://[{V6}:10]/",
    "ipip 4in4": f"http://{V4}.20/",
    "ipip 6in4": f"http://[{V6}:20]/",
    "ipip 4in6": f"http://{V4}.21/",
    "ipip 6in6": f"http://[{V6}:21]/",
}


def wait_for(what, condition, seconds=10.0):
    """Polls until condition() is true and returns what it returned; fails with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.02)


def forget_flows(folder):
    """Removes the flow tables of an lbd whose socket was in this folder; where that is on a disk they are in shared memory."""
    link = Path(folder) / "flows"
    if link.is_symlink() and str(link.readlink()).startswith("/dev/shm/lbd-"):
        shutil.rmtree(link.readlink(), ignore_errors=True)


def forget_pins(folder):
    """Removes what an lbd with engine xdp, whose socket was in this folder, has left pinned: its program and its flow tables."""
    pins = Path(folder) / "xdp"
    if not pins.is_mount():
        return
    for link in pins.glob("link-*"):
        link.unlink()
    subprocess.run(["umount", pins], check=True)


def entering(engine, ns):
    """What in front of its command line runs lbd in a namespace. With engine xdp in our mount namespace: its pins outlive it there."""
    return ["ip", "netns", "exec", ns] if engine == "dpdk" else ["nsenter", f"--net=/run/netns/{ns}", "--"]


class Refused(AssertionError):
    """lbctl ended with another exit code than expected."""


class Lab:
    """One lab, by name, and one lbd in it, which runs on a node of it; `up` is idempotent, so that tests share one."""

    def __init__(self, name, engine="dpdk", node="lbd"):
        self.name = name
        self.engine = engine  # dpdk, xdp-native, xdp-generic
        self.node = node
        self.queues = 1 if engine == "xdp-generic" else 2  # of wan, that packets come by
        self.env = dict(os.environ, LBD_LAB=name, LBD_BUILD=str(BUILD))
        self.prefix = f"lbd-{name}-"
        self.dir = Path(f"/run/lbd-lab-{name}") / ("" if node == "lbd" else node)
        self.socket = self.dir / "lbd.sock"
        self.config = self.dir / "lbd.yaml"
        self.state = self.dir / "state"
        self.daemon = None  # lbd when start_lbd() started it
        self.servers = []

    def script(self, *args, check=True):
        done = subprocess.run([ROOT / "scripts" / "lab", *args], env=self.env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"scripts/lab {' '.join(args)}:\n{done.stdout}{done.stderr}{self.log()}"
        return done

    def up(self, *args):
        """Takes down what there is of it, and builds it anew."""
        self.script("down")
        engine, _, mode = self.engine.partition("-")
        self.script("up", "--engine", engine, *(["--mode", mode] if mode else []), *args)

    def log(self):
        path = self.dir / "lbd.log"
        return "\n--- lbd's log ---\n" + path.read_text()[-6000:] if path.exists() else ""

    def argv(self, host, *command):
        return ["ip", "netns", "exec", self.prefix + host, *map(str, command)]

    def run(self, host, *command, check=True, timeout=120, **kwargs):
        done = subprocess.run(self.argv(host, *command), capture_output=True, text=True, timeout=timeout, **kwargs)
        assert not check or done.returncode == 0, f"{command} on {host}: exit {done.returncode}\n{done.stdout}{done.stderr}{self.log()}"
        return done

    def popen(self, host, *command, **kwargs):
        return subprocess.Popen(self.argv(host, *command), text=True, **kwargs)

    def serve(self, host, *command):
        """Starts a server on a host and waits until it says that it is ready; close() ends it."""
        self.servers.append(self.popen(host, *command, stdout=subprocess.PIPE))
        assert self.servers[-1].stdout.readline() == "ready\n"

    def close(self):
        """The end of what was started here, and of the lab."""
        for server in self.servers:
            server.kill()
            server.wait()
            server.stdout.close()
        if self.daemon:
            self.stop_lbd()
        self.script("down")

    def lbctl(self, *args, exit_code=0, stdin=None):
        """Runs lbctl against this lab's lbd and returns what it printed; fails when it ends otherwise than expected."""
        done = subprocess.run([LBCTL, "-s", self.socket, *map(str, args)], capture_output=True, text=True, input=stdin,
                              timeout=60)
        if done.returncode != exit_code:
            raise Refused(f"lbctl {' '.join(map(str, args))}: exit {done.returncode}, not {exit_code}\n{done.stdout}{done.stderr}{self.log()}")
        return done.stdout if exit_code == 0 else done.stdout + done.stderr

    def json(self, *args, stdin=None):
        return json.loads(self.lbctl("--json", *args, stdin=stdin))

    def totals(self):
        return self.json("stats", "workers")["totals"]

    def received(self):
        """Packets by worker. The first two are wan's queues with either engine; with xdp lan's and the exception path's come after them.
        In generic mode a veth tells no queue, and everything counts as received on the first."""
        return [w["counters"]["rx_packets"] for w in self.json("stats", "workers")["workers"]]

    def counters_sum(self):
        """Every worker's verdicts add up to what it received; lbd says so itself, we count again."""
        answer = self.json("stats", "workers")
        for worker in answer["workers"]:
            c = worker["counters"]
            came, went = c["rx_packets"] + c["handed_in"], sum(c[verdict] for verdict in ("forwarded", "answered", "punted", "handed_out", "held"))
            if came != went + sum(n for name, n in c.items() if name in DROPS):
                return False
        return answer["balanced"]

    def connect(self, host, url, count, concurrency=64, timeout=30.0, source_ports=None):
        """`count` connections from host, one request each, keep-alive off. Returns a list of results, see client.py."""
        command = [str(CLIENT), url, "--count", str(count), "--concurrency", str(concurrency), "--timeout", str(timeout)]
        if source_ports:
            command += ["--first-port", str(source_ports)]
        done = self.run(host, "/usr/bin/python3", *command, timeout=300)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def lbd_pid(self):
        return int((self.dir / "lbd.pid").read_text().split()[0])

    def start_lbd(self, seconds=30.0):
        """Starts lbd in its namespace, as our child, and returns when it answers; nothing else of the lab is touched."""
        self.state.mkdir(exist_ok=True)
        with open(self.dir / "lbd.log", "a", encoding="utf-8") as log:
            self.daemon = subprocess.Popen([*entering(self.engine, self.prefix + self.node), LBD, "--config", self.config],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        started = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()[19]
        (self.dir / "lbd.pid").write_text(f"{self.daemon.pid} {started}\n")

        def settled():
            return self.daemon.poll() is not None or subprocess.run([LBCTL, "-s", self.socket, "stats"], capture_output=True).returncode == 0

        wait_for("lbd answers", settled, seconds)
        assert self.daemon.poll() is None, f"lbd ended with {self.daemon.returncode}{self.log()}"

    def stop_lbd(self, how=signal.SIGTERM, seconds=20):
        """Of an lbd that start_lbd() started: a zombie's threads may live on, only its parent knows when it is gone."""
        self.daemon.send_signal(how)
        self.daemon.wait(timeout=seconds)
        self.daemon = None
        (self.dir / "lbd.pid").unlink()

    def restart_lbd(self, how=signal.SIGTERM, edit=None):
        """Stops lbd, edits its configuration (text -> text) and starts it again."""
        self.stop_lbd(how)
        if edit:
            self.config.write_text(edit(self.config.read_text()))
        self.start_lbd()


def shares(results):
    count = {}
    for r in results:
        count[r["backend"]] = count.get(r["backend"], 0) + 1
    return count


def chi_square_p(observed, weights):
    """P value of observed counts (name -> n) against weights (name -> w): regularised upper gamma function."""
    total, weight = sum(observed.values()), sum(weights.values())
    x = sum((observed.get(k, 0) - total * w / weight) ** 2 / (total * w / weight) for k, w in weights.items())
    a, x = (len(weights) - 1) / 2, x / 2
    if x == 0:
        return 1.0
    term = total_series = 1 / a
    n = a
    for _ in range(1000):
        n += 1
        term *= x / n
        total_series += term
    return max(0.0, 1 - total_series * math.exp(-x + a * math.log(x) - math.lgamma(a)))
