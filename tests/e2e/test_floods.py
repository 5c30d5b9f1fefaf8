"""Floods of far more tuples than the flow table has room for, during pool changes, beside 10,000 connections that must not move.

    lbd-flood (lbd, up0) ===== lbd-flood-gw (up0: tests/tools/flood, router and backends in one)

Every backend lies behind the gateway, so what lbd sends comes back to where it came from: in the outer header stands who got it.
"""

import json
import subprocess

import pytest
from host import engine_lines
from lab import LBCTL, LBD, PASS, TOOLS, entering, forget_flows, forget_pins, wait_for

NS, GATEWAY = "lbd-flood", "lbd-flood-gw"
CAPACITY, TIMES, FLOWS = 65536, 10, 10000
PERIOD_MS = 2000  # each of the flows that last sends a packet so often; 5 s would do
BACKENDS = {f"b{i}": f"10.100.0.{i}" for i in range(1, 11)}
KINDS = {"syn": 1, "ack": 1, "syn+ack": 1, "syn,ack,ack": 3, "rst": 1, "udp": 1}

CONFIG = """version: 1
daemon:
  socket: {dir}/lbd.sock
  state-dir: {dir}/state
  hash-key-file: {dir}/hash-key
  flows: {flows}
  {engine}
pools:
  fe:
    backends:
{backends}
services:
  web: {{listen: ["192.0.2.10:80/tcp", "192.0.2.10:80/udp"], pool: fe, forward: ipip}}
"""

# The gateway's address is nobody's: what arrives there for it is seen by the tool and dropped by the kernel.
NET = f"""set -e
for ns in {NS} {GATEWAY}; do ip netns add $ns; ip netns exec $ns sysctl -qw net.ipv6.conf.default.disable_ipv6=1; done
ip -n {NS} link add up0 numrxqueues 2 numtxqueues 2 type veth peer name up0 netns {GATEWAY} numrxqueues 2 numtxqueues 2
for ns in {NS} {GATEWAY}; do
  ip -n $ns link set lo up
  ip -n $ns link set up0 up
  ip netns exec $ns ethtool -K up0 tx off gro off >/dev/null
done
ip -n {NS} addr add 10.9.0.1/24 dev up0
ip -n {NS} neigh add 10.9.0.2 lladdr 02:1b:d0:ff:00:01 nud permanent dev up0
ip -n {NS} route add 10.100.0.0/24 via 10.9.0.2
"""


def remove_namespaces():
    for ns in (NS, GATEWAY):
        subprocess.run(["ip", "netns", "del", ns], capture_output=True)


class Flooded:
    """lbd and the tool that floods it."""

    def __init__(self, engine, folder, flows):
        self.engine = engine
        self.dir, self.process, self.tool = folder, None, None
        (folder / "state").mkdir()
        self.flows = flows
        self.write_config()
        remove_namespaces()
        subprocess.run(["bash", "-c", NET], check=True, capture_output=True, text=True)
        if engine == "xdp-native":
            # What native XDP sends by a veth arrives only where there is a program, too.
            subprocess.run(["ip", "-n", GATEWAY, "link", "set", "dev", "up0", "xdpdrv", "obj", PASS, "sec", "xdp"], check=True)
        with open(folder / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([*entering(engine, NS), LBD, "--config", folder / "lbd.yaml"], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_for("lbd answers", lambda: self.process.poll() is not None or self.lbctl("stats", check=False).returncode == 0, 30)
        assert self.process.poll() is None, (folder / "log").read_text()
        wait_for("the backends are eligible", lambda: self.json("backend", "show", "fe/b1")["eligible"]["ipip"], 20)
        mac = subprocess.run(["ip", "netns", "exec", NS, "cat", "/sys/class/net/up0/address"], check=True, capture_output=True, text=True).stdout.strip()
        self.tool = subprocess.Popen(["ip", "netns", "exec", GATEWAY, TOOLS / "flood", "up0", mac, "192.0.2.10", "80", str(PERIOD_MS)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write_config(self, zero=()):
        backends = "\n".join(f"      - {{name: {n}, address: {a}, weight: {0 if n in zero else 100}}}" for n, a in BACKENDS.items())
        (self.dir / "lbd.yaml").write_text(CONFIG.format(dir=self.dir, flows=self.flows, engine=engine_lines(self.engine), backends=backends))

    def close(self):
        if self.tool:
            self.tool.stdin.close()
            self.tool.wait(timeout=20)
            self.tool.stdout.close()
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=20)
        forget_flows(self.dir)
        forget_pins(self.dir)
        remove_namespaces()

    def lbctl(self, *args, check=True, stdin=None):
        done = subprocess.run([LBCTL, "-s", self.dir / "lbd.sock", *args], capture_output=True, text=True, input=stdin, timeout=60)
        assert not check or done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}{(self.dir / 'log').read_text()[-3000:]}"
        return done

    def json(self, *args, stdin=None):
        return json.loads(self.lbctl("--json", *args, stdin=stdin).stdout)

    def say(self, line):
        self.tool.stdin.write(line + "\n")
        self.tool.stdin.flush()

    def ask(self, line):
        self.say(line)
        return self.answer()

    def answer(self):
        return json.loads(self.tool.stdout.readline())

    def counters(self):
        return self.json("stats", "workers")["totals"]

    def establish(self):
        answer = self.ask(f"establish {FLOWS}")
        assert answer == {"flows": FLOWS, "silent": 0, "moved": 0}, answer

    def change(self, zero):
        """Weight 0 for these backends, 100 for all others, in one change: they take no new flows and keep what they have."""
        self.write_config(zero)
        answer = self.json("config", "apply", self.dir / "lbd.yaml")
        assert answer["changed"], answer
        return next(f["slots_moved"] for f in answer["forecast"] if f["service"] == "web")

    def flood(self, kind, tuples, change=None):
        """The tool's report; `change` is made in the middle, while the flood goes on until it is made."""
        self.say(f"flood {kind} {tuples}")
        assert self.answer() == {"half": True}
        if change:
            change()
        self.say("go on")
        return self.answer()


@pytest.fixture
def flooded(binaries, engine, tmp_path):
    running = []

    def start(flows):
        running.append(Flooded(engine, tmp_path, flows))
        return running[0]

    yield start
    for it in running:
        it.close()


def flood_whole(it, kind, change):
    """Floods until lbd has received packets of ten times as many tuples as its table has room for; what was lost on the way does not count."""
    before, sent, frames, ms, ours = it.counters()["rx_packets"], 0, 0, 0, 0
    received, wanted = 0, TIMES * CAPACITY * KINDS[kind]
    while received < wanted:
        report = it.flood(kind, (wanted - received) // KINDS[kind] + 1000, change)
        change = None
        sent, frames, ms, ours = (a + report[b] for a, b in ((sent, "tuples"), (frames, "frames"), (ms, "ms"), (ours, "of_lasting")))
        received = it.counters()["rx_packets"] - before - ours
    print(f"{kind}: {sent} tuples, {frames} frames in {ms} ms, of them {ours} of the flows that last; lbd received {received} of the flood")
    return report["moved"]


def elsewhere(it):
    """How many of the flows that last the table would send to another backend today."""
    lines = "".join(f"tcp 198.18.{i >> 8}.{i & 255}:{10000 + i} 192.0.2.10:80\n" for i in range(FLOWS))
    answers = it.json("explain", "--from", "-", stdin=lines)["answers"]
    return sum((a.get("chosen") or a["backend"])["address"] != b for a, b in zip(answers, it.ask("backends")))


def test_no_flood_moves_an_established_flow(flooded, engine):
    """Each pool change moves more than a fifth of the slots, in the middle of the flood."""
    # In generic mode a veth tells no queue: all flows are in the table of the first, which has its share of the room.
    it = flooded(CAPACITY * (2 if engine == "xdp-generic" else 1))
    it.establish()
    names = list(BACKENDS)
    for i, kind in enumerate(KINDS):
        zero = names[:3] if i % 2 == 0 else names[3:6]
        moved_slots = []
        moved = flood_whole(it, kind, lambda: moved_slots.append(it.change(zero)))
        pinned = elsewhere(it)
        checked = it.ask("check")
        print(f"{kind}: {moved_slots[0]:.0%} of the slots moved in the middle; {pinned} of {FLOWS} flows live by tracking, {moved} moved")
        assert checked == {"flows": FLOWS, "silent": 0, "moved": 0} and moved == 0, f"{kind}: {checked}, {moved} moved\n{it.counters()}"
        assert pinned > FLOWS / 5
    print("workers received", [w["counters"]["rx_packets"] for w in it.json("stats", "workers")["workers"]])
    print({k: v for k, v in it.counters().items() if v and ("flow" in k or "foreign" in k or "rx_packets" in k)})


def test_control_without_tracking_the_change_moves_them(flooded):
    it = flooded(0)
    it.establish()
    it.flood("syn", CAPACITY, lambda: it.change(list(BACKENDS)[:3]))
    checked = it.ask("check")
    print(checked)
    assert checked["silent"] == 0 and checked["moved"] > FLOWS / 5
