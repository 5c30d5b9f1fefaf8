"""Events from outside: the same facts as in the log, kept over a death, followed while they happen."""

import json
import re
import signal
import subprocess

import pytest

from lab import LBCTL, Lab, wait_for

pytestmark = pytest.mark.engines("dpdk")  # of the control plane: nothing of it knows an engine


@pytest.fixture(scope="module")
def lab(binaries, engine):
    it = Lab("events", engine)
    try:
        it.up()
        it.start_lbd()
        wait_for("backends are eligible", lambda: all(b["eligible"]["ipip"] for b in it.json("backend", "list")["backends"]))
        yield it
    finally:
        it.close()


def events(lab, *more):
    return [json.loads(line) for line in lab.lbctl("--json", "events", *more).splitlines()]


def test_the_log_has_the_same_facts(lab):
    lab.lbctl("backend", "drain", "fe/b1", "--reason", "the log is asked")
    lab.lbctl("backend", "ready", "fe/b1")
    told = [e["event"] for e in events(lab)]
    logged = re.findall(r"level=(?:info|warning|error) event=(\S+)", (lab.dir / "lbd.log").read_text())
    assert told == logged[-len(told):] and "ready" in told
    about = events(lab, "--service", "tun")
    assert {"backend_not_eligible", "backend_eligible", "service_eligible"} <= {e["event"] for e in about}
    down = next(e for e in about if e["event"] == "backend_not_eligible" and "asked" in e["fields"]["why"])
    assert down["fields"] == {"pool": "fe", "backend": "b1", "why": "drained: the log is asked"}
    assert not [e for e in events(lab, "--service", "tun6") if e["event"] == "backend_not_eligible" and e["number"] >= down["number"]]
    assert "the log is asked" in lab.lbctl("events", "--since", "10m")


def test_they_outlive_lbd(lab):
    before = events(lab)
    lab.stop_lbd(signal.SIGKILL)
    lab.start_lbd()
    after = events(lab)
    assert after[:len(before)] == before and after[len(before)]["number"] == before[-1]["number"] + 1


def test_they_can_be_followed(lab):
    with subprocess.Popen([LBCTL, "-s", lab.socket, "--json", "events", "--since", "0s", "--follow"], stdout=subprocess.PIPE, text=True) as follower:
        try:
            lab.lbctl("backend", "drain", "fe/b2", "--reason", "somebody follows")
            for line in follower.stdout:
                event = json.loads(line)
                if event["event"] == "changed" and event["fields"]["reason"] == "somebody follows":
                    break
            else:
                raise AssertionError("the follower ended without it")
        finally:
            follower.kill()
    lab.lbctl("backend", "ready", "fe/b2")


def test_a_backend_whose_way_is_lost_is_told_with_the_reason(lab):
    mark = events(lab)[-1]["number"]
    lab.run("lbd", "ip", "route", "add", "blackhole", "10.1.0.13/32")
    try:
        lost = wait_for("it is told", lambda: [e for e in events(lab) if e["number"] > mark and e["event"] == "backend_not_eligible"])
        assert lost[0]["fields"]["why"] == "the route to 10.1.0.13 is a blackhole" and lost[0]["fields"]["backend"] == "b3"
    finally:
        lab.run("lbd", "ip", "route", "del", "blackhole", "10.1.0.13/32")
    wait_for("it is back", lambda: [e for e in events(lab) if e["number"] > mark and e["event"] == "backend_eligible" and e["fields"]["backend"] == "b3"])
