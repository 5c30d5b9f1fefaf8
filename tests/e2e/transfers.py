"""Two hundred downloads and uploads that last, every byte checked, and what steers them: tests/tools/transfer.h."""

import json
import random
import re
import subprocess

from lab import TOOLS

PORT = 9000
# IPv4 in IPv4, IPv6 in IPv4, dsr; all of them to pool fe.
VIPS = ["192.0.2.20", "2001:db8:0:1::20", "192.0.2.10"]
BACKENDS = ["b1", "b2", "b3", "b4"]
ADDRESS = {"b1": "10.1.0.11", "b2": "10.1.0.12", "b3": "10.1.0.13", "b4": "10.1.0.14"}
WEIGHT = {"b1": 100, "b2": 100, "b3": 50, "b4": 50}
PIECE_MS = 100  # between two pieces of 4 KiB, both ways
PATIENCE_S = 30


def with_transfer_port(config):
    """The lab's configuration with another port on every listener."""
    return re.sub(r'"(\S+?):80/tcp"', rf'"\1:80/tcp", "\1:{PORT}/tcp"', config)


class Servers:
    def __init__(self, lab):
        self.processes = []
        for host in BACKENDS:
            process = lab.popen(host, TOOLS / "transfer_server", host, PORT, stdout=subprocess.PIPE)
            self.processes.append(process)
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()


class Transfers:
    """Live connections from a client; a with statement ends them, whatever became of them."""

    def __init__(self, lab, count, host="c1", piece_ms=PIECE_MS, backends=BACKENDS):
        """All backends named are to answer, and no other."""
        self.lab = lab
        self.process = lab.popen(host, TOOLS / "transfer_client", PATIENCE_S, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ways = [(vip, mode) for vip in VIPS for mode in "du"]
        for i, (vip, mode) in enumerate(ways):
            n = count // len(ways) + (i < count % len(ways))
            opened = self.ask(f"open {n} {mode} {piece_ms} {vip} {PORT}")
        assert opened["states"] == {"live": count}, opened
        assert set(opened["backends"]) == set(backends), opened

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def beat(self):
        """Every live transfer gets another piece through, or is given up."""
        return self.ask("beat")

    def probe(self, count, vip):
        """New connections; returns how many each backend answered. A failed one fails the test."""
        answer = self.ask(f"probe {count} {vip} {PORT}")
        assert answer["states"] == {"done": count}, (vip, answer, self.lab.log())
        return answer["backends"]

    def finish(self):
        return self.ask("finish")

    def broken(self):
        return [t for t in self.ask("list") if t["state"] not in ("live", "done")]

    def elsewhere(self):
        """Share of the live transfers that the tables would send to another backend today: they live by the flow table."""
        live = [t for t in self.ask("list") if t["state"] == "live"]
        lines = "".join(f"tcp {t['source']} {t['destination']}\n" for t in live)
        answers = self.lab.json("explain", "--from", "-", stdin=lines)["answers"]
        return sum(t["backend"] != chosen(a) for t, a in zip(live, answers)) / len(live)


def chosen(answer):
    """The backend that the table alone would choose, from an answer of explain."""
    return (answer.get("chosen") or answer["backend"])["name"]


class Changes:
    """Random changes of pool fe through lbctl, one after the other, and which backends may get new connections after each."""

    def __init__(self, lab, seed, drains=True):
        self.lab = lab
        self.random = random.Random(seed)
        self.drains = drains
        self.weight = dict(WEIGHT)
        self.drained, self.removed = set(), set()
        self.done = {}
        self.history = []
        self.slots_moved = 0.0

    def eligible(self):
        return {b for b in BACKENDS if self.weight[b] > 0 and b not in self.drained and b not in self.removed}

    def ctl(self, verb, backend, *args):
        # Weights are meant to move more than a quarter of the slots.
        answer = self.lab.json("backend", verb, f"fe/{backend}", *args, "--allow-reshuffle", "dsr", "--allow-reshuffle", "tun")
        assert answer["changed"] and answer["late_workers"] == [], answer
        self.slots_moved += sum(f["slots_moved"] for f in answer["forecast"] if f["service"] == "tun")
        self.done[verb] = self.done.get(verb, 0) + 1
        self.history.append(" ".join(map(str, (answer["generation"], verb, backend, *args))))

    def one(self):
        """Two backends at least stay eligible, so that each change has something to move to."""
        may_lose = len(self.eligible()) > 2
        options = []
        for b in BACKENDS:
            if b in self.removed:
                options.append(("add", b))
                continue
            options.append(("set", b))
            if b in self.drained:
                options.append(("ready", b))
            elif self.drains and b in self.eligible() and may_lose:
                options.append(("drain", b))
            if b not in self.eligible() or may_lose:
                options.append(("remove", b))
        verb, b = self.random.choice(options)
        getattr(self, verb)(b)

    def set(self, b):
        may_be_zero = b not in self.eligible() or len(self.eligible()) > 2
        weights = [w for w in ([0] if may_be_zero else []) + [10, 50, 100, 300] if w != self.weight[b]]
        self.weight[b] = self.random.choice(weights)
        self.ctl("set", b, "--weight", self.weight[b])

    def drain(self, b):
        self.drained.add(b)
        self.ctl("drain", b)

    def ready(self, b):
        self.drained.discard(b)
        self.ctl("ready", b)

    def remove(self, b):
        self.removed.add(b)
        self.drained.discard(b)
        self.ctl("remove", b)

    def add(self, b):
        self.removed.discard(b)
        self.weight[b] = self.random.choice([50, 100, 300])
        self.ctl("add", b, ADDRESS[b], "--weight", self.weight[b])

    def reset(self):
        """Back to the first weights, everybody ready."""
        for b in BACKENDS:
            if b in self.removed:
                self.ctl("add", b, ADDRESS[b], "--weight", WEIGHT[b])
            elif self.weight[b] != WEIGHT[b]:
                self.ctl("set", b, "--weight", WEIGHT[b])
            if b in self.drained:
                self.ctl("ready", b)
        self.weight, self.drained, self.removed = dict(WEIGHT), set(), set()
