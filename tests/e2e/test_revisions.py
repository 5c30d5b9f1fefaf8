"""Revisions from outside: who, when, why and from which file; back again; trials that end by themselves; writers that meet."""

import hashlib
import signal
import subprocess
import time

import pytest

from lab import LBCTL, Lab, shares, wait_for

pytestmark = pytest.mark.engines("dpdk")  # of the control plane: nothing of it knows an engine


@pytest.fixture(scope="module")
def lab(binaries, engine):
    it = Lab("rev", engine)
    try:
        it.up()
        it.start_lbd()
        wait_for("backends are eligible", lambda: all(b["eligible"]["ipip"] for b in it.json("backend", "list")["backends"]))
        yield it
    finally:
        it.close()


def without_b1(lab, name):
    """A document in which b1 gets no new flows."""
    path = lab.dir / name
    text = lab.lbctl("config", "show")
    assert "name: b1, address: 10.1.0.11" in text, text
    path.write_text(text.replace("name: b1, address: 10.1.0.11", "name: b1, weight: 0, address: 10.1.0.11"))
    return path


def revision(lab):
    return lab.json("config", "history", "--limit", "1")["current"]


def b1_gets_flows(lab):
    return "b1" in shares(lab.connect("c1", "http://192.0.2.20/", 60))


ALLOW = ("--allow-reshuffle", "dsr", "--allow-reshuffle", "tun")


def test_history_tells_who_when_why_and_from_which_file(lab):
    before = revision(lab)
    path = without_b1(lab, "history.yaml")
    lab.lbctl("config", "apply", path, "--reason", "b1 is hot", *ALLOW)
    newest = lab.json("config", "history", "--since", "1h")["revisions"][0]
    assert (newest["revision"], newest["command"], newest["reason"], newest["uid"]) == (before + 1, "config.apply", "b1 is hot", 0)
    assert newest["files"] == [{"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}]
    assert abs(newest["time"] - time.time()) < 60
    assert newest["first"] == "~ backend fe/b1: weight 100 -> 0"
    assert "b1 is hot" in lab.lbctl("config", "history") and "b1 is hot" in lab.lbctl("config", "blame", "fe/b1")
    assert not b1_gets_flows(lab)
    assert lab.lbctl("config", "diff", before, before + 1) == "~ backend fe/b1: weight 100 -> 0\n"
    # Nothing changes: no revision.
    lab.lbctl("config", "apply", path)
    assert revision(lab) == before + 1
    lab.lbctl("config", "rollback", "--reason", "it is cool again", *ALLOW)
    assert revision(lab) == before + 2
    assert lab.json("config", "history", "--limit", "1")["revisions"][0]["restores"] == before
    assert b1_gets_flows(lab)
    assert "no revision 99999" in lab.lbctl("config", "rollback", "99999", exit_code=1)


def test_a_trial_ends_by_itself_though_its_author_is_gone(lab):
    path = without_b1(lab, "trial.yaml")
    before = revision(lab)
    author = subprocess.Popen([LBCTL, "-s", lab.socket, "config", "apply", path, "--confirm-within", "4s", *ALLOW],
                              stdout=subprocess.DEVNULL)
    wait_for("the trial runs", lambda: revision(lab) == before + 1)
    author.kill()
    author.wait()
    assert "on trial" in lab.lbctl() and "on trial" in lab.lbctl("config", "history")
    assert "on trial" in lab.lbctl("backend", "set", "fe/b2", "--weight", "70", exit_code=1)
    assert not b1_gets_flows(lab)
    wait_for("it is undone", lambda: revision(lab) == before + 2)
    assert b1_gets_flows(lab)
    newest = lab.json("config", "history", "--limit", "1")["revisions"][0]
    assert (newest["command"], newest["restores"]) == ("config.undo", before)
    assert "on trial" not in lab.lbctl()


def test_a_trial_ends_though_lbd_was_dead_at_its_end(lab):
    path = without_b1(lab, "dead.yaml")
    before = revision(lab)
    lab.lbctl("config", "apply", path, "--confirm-within", "2s", *ALLOW)
    lab.stop_lbd(signal.SIGKILL)
    time.sleep(2.5)
    lab.start_lbd()
    wait_for("it is undone", lambda: revision(lab) == before + 2)
    wait_for("backends are eligible", lambda: all(b["eligible"]["ipip"] for b in lab.json("backend", "list")["backends"]))
    assert b1_gets_flows(lab)


def test_a_confirmed_trial_stays(lab):
    path = without_b1(lab, "confirmed.yaml")
    lab.lbctl("config", "apply", path, "--confirm-within", "2s", *ALLOW)
    lab.lbctl("config", "confirm")
    now = revision(lab)
    time.sleep(3)
    assert revision(lab) == now and not b1_gets_flows(lab)
    lab.lbctl("config", "rollback", *ALLOW)


def test_two_writers_never_overwrite_each_other(lab):
    """Each reads the revision, then changes what it saw; who comes late is told so and reads again."""
    script = """
import json, subprocess, sys
lbctl, socket, name, rounds = sys.argv[1:5]
def run(*words):
    return subprocess.run([lbctl, "-s", socket, *words], capture_output=True, text=True)
done = late = 0
while done < int(rounds):
    at = str(json.loads(run("--json", "config", "history", "--limit", "1").stdout)["current"])
    told = run("--expect-revision", at, "backend", "set", name, "--weight", str(50 + (done + 1) % 7), "--allow-reshuffle", "tun6", "--allow-reshuffle", "dsr6")
    if told.returncode == 0: done += 1
    elif "as expected" in told.stderr: late += 1
    else: sys.exit(told.stderr)
print(done, late)
"""
    before = revision(lab)
    writers = [subprocess.Popen(["/usr/bin/python3", "-c", script, LBCTL, lab.socket, name, "15"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for name in ("fe6/b1", "fe6/b2")]
    told = [w.communicate(timeout=120) for w in writers]
    assert [w.returncode for w in writers] == [0, 0], told
    assert revision(lab) == before + 30, told
    assert b1_gets_flows(lab)
    lab.lbctl("config", "rollback", before, *ALLOW, "--allow-reshuffle", "tun6", "--allow-reshuffle", "dsr6")


def test_an_lbctl_that_is_killed_in_mid_apply_leaves_all_or_nothing(lab):
    path = without_b1(lab, "killed.yaml")
    for delay in (0, 0.002, 0.004, 0.008, 0.015, 0.03):
        before = lab.json("config", "history", "--limit", "1")
        author = subprocess.Popen([LBCTL, "-s", lab.socket, "config", "apply", path, *ALLOW], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        author.kill()
        author.wait()
        after = lab.json("config", "history", "--limit", "1")
        assert after["current"] in (before["current"], before["current"] + 1)
        weight = next(b["weight"] for b in lab.json("backend", "list", "fe/b1")["backends"])
        assert weight == (100 if after["current"] == before["current"] else 0)
        if weight == 0:
            lab.lbctl("config", "rollback", *ALLOW)
    assert lab.json("stats", "workers")["balanced"]
