"""1,000 services over 200 pools of 100 backends. Times are printed, and recorded in docs/performance.md; none is judged here."""

import json
import subprocess
import time

import pytest

from host import engine_lines
from lab import LBCTL, LBD, entering, forget_flows, forget_pins, wait_for

APPLY_S, CHANGE_S, ANSWER_S = 5.0, 0.1, 0.3


def document(tmp_path):
    """All 20,000 backends lie behind one gateway, so that the kernel's 1,024 neighbours are no limit."""
    lines = ["version: 1", "pools:"]
    for pool in range(200):
        lines.append(f"  p{pool}:\n    backends:")
        for b in range(100):
            lines.append(f"      - {{name: b{b}, address: 10.{100 + pool // 100}.{pool % 100}.{b + 1}, weight: {50 + b}}}")
    lines.append("services:")
    for s in range(1000):
        schedule = "" if s % 2 else ", schedule: source-hash"
        lines.append(f"  s{s}: {{listen: ['192.0.{2 + s // 250}.{s % 250 + 1}:80/tcp'], pool: p{s % 200}, forward: ipip{schedule}}}")
    path = tmp_path / "scale.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def big(tmp_path, binaries, engine):
    ns, gateway = "lbd-scale", "lbd-scale-gw"
    for name in (ns, gateway):
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "netns", "add", name], check=True)
    for where, command in ((ns, f"link add up0 numrxqueues 2 numtxqueues 2 type veth peer name up0 netns {gateway} numrxqueues 2 numtxqueues 2"),
                           (gateway, "link set up0 up"), (gateway, "addr add 10.9.0.2/24 dev up0"),
                           (ns, "link set lo up"), (ns, "link set up0 up"), (ns, "addr add 10.9.0.1/24 dev up0"),
                           (ns, "route add 10.100.0.0/15 via 10.9.0.2")):
        subprocess.run(["ip", "-n", where, *command.split()], check=True)
    (tmp_path / "state").mkdir()
    config = tmp_path / "lbd.yaml"
    config.write_text(f"""version: 1
daemon:
  socket: {tmp_path}/lbd.sock
  state-dir: {tmp_path}/state
  hash-key-file: {tmp_path}/hash-key
  {engine_lines(engine)}
""")
    log = open(tmp_path / "log", "w")
    process = subprocess.Popen([*entering(engine, ns), LBD, "--config", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def lbctl(*args):
        start = time.monotonic()
        done = subprocess.run([LBCTL, "-s", tmp_path / "lbd.sock", *args], capture_output=True, text=True, timeout=60)
        return done, time.monotonic() - start

    wait_for("lbd answers", lambda: process.poll() is not None or lbctl("stats")[0].returncode == 0, 30)
    assert process.poll() is None, (tmp_path / "log").read_text()
    yield lbctl
    process.terminate()
    process.wait(timeout=20)
    forget_flows(tmp_path)
    forget_pins(tmp_path)
    for name in (ns, gateway):
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.engines("dpdk", "xdp-native")
def test_a_thousand_services_twenty_thousand_backends(big, tmp_path):
    path = document(tmp_path)
    done, apply_s = big("config", "apply", path)
    assert done.returncode == 0, done.stderr[-3000:]
    changes = []
    for weight in (10, 20, 30, 40, 50):
        done, seconds = big("backend", "set", "p7/b5", "--weight", str(weight))
        assert done.returncode == 0, done.stderr
        changes.append(seconds)
    change_s = sorted(changes)[2]
    summaries = [big("--json") for _ in range(5)]
    assert all(len(json.loads(done.stdout)["services"]) == 1000 for done, _ in summaries)
    answers = sorted(seconds for _, seconds in summaries)
    done, _ = big("config", "apply", path, "--dry-run")
    assert done.returncode == 0, done.stderr
    print(f"apply {apply_s:.2f} s (budget {APPLY_S}), one-backend change {change_s * 1000:.0f} ms (budget {CHANGE_S * 1000:.0f}), summary {answers[2] * 1000:.0f} ms (budget {ANSWER_S * 1000:.0f})")
    wait_for("a backend behind the gateway is eligible",
             lambda: '"ipip": true' in big("--json", "backend", "show", "p7/b5")[0].stdout.replace('"ipip":true', '"ipip": true'), 20)
