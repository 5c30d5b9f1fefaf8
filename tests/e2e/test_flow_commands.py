"""What lbctl says about flows is what the connections see; what it does to them happens to those and to no others."""

import random

import pytest
from lab import wait_for
from test_flow_restart import pin, unbroken
from transfers import Changes, Transfers

TRANSFERS = 60
# Of c2, which opens nothing but the transfers of this module.
CLIENTS = ["198.51.100.74", "2001:db8:c2::10/128"]


@pytest.fixture
def transfers(flow_lab):
    flow_lab.lbctl("flow", "flush", "--all")
    with Transfers(flow_lab, TRANSFERS, host="c2") as it:
        yield it


@pytest.fixture
def changes(flow_lab):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    it = Changes(flow_lab, seed)
    yield it
    it.reset()


def listed(lab, *options):
    """(source, destination) -> flow"""
    flows = [f for client in CLIENTS for f in lab.json("flow", "list", "--client", client, *options)["flows"]]
    return {(f["source"], f["destination"]): f for f in flows}


def counted(lab, member, *options):
    """Backend's name -> how many, of those that have any."""
    count = {}
    for client in CLIENTS:
        for b in lab.json("flow", "count", "--client", client, *options)["backends"]:
            if b[member]:
                count[b["backend"]["name"]] = count.get(b["backend"]["name"], 0) + b[member]
    return count


def by_backend(transfers):
    count = {}
    for t in transfers:
        count[t["backend"]] = count.get(t["backend"], 0) + 1
    return count


def test_list_and_count_tell_every_connection_and_its_backend(flow_lab, transfers, changes):
    pin(transfers, changes)
    own = {(t["source"], t["destination"]): t for t in transfers.ask("list")}
    wait_for("every transfer is a connection", lambda: listed(flow_lab, "--class", "established").keys() == own.keys())
    flows = listed(flow_lab)
    assert flows.keys() == own.keys()
    assert [k for k in own if flows[k]["backend"]["name"] != own[k]["backend"]] == []
    assert counted(flow_lab, "established") == by_backend(own.values())
    # Pinned is what the table would send elsewhere; explain says the same.
    lines = "".join(f"tcp {s} {d}\n" for s, d in own)
    explained = flow_lab.json("explain", "--from", "-", stdin=lines)["answers"]
    pinned = {k for k, a in zip(own, explained) if a["pinned"]}
    assert pinned and {k for k, f in flows.items() if f["pinned"]} == pinned == set(listed(flow_lab, "--pinned"))
    assert counted(flow_lab, "pinned") == by_backend(own[k] for k in pinned)
    assert all(a["tracked"] == "established" and a["backend"]["name"] == own[k]["backend"] for k, a in zip(own, explained))
    assert set(listed(flow_lab, "--backend", "fe/b1")) == {k for k, t in own.items() if t["backend"] == "b1"}
    assert set(listed(flow_lab, "--service", "tun")) == {k for k in own if not k[1].startswith("192.0.2.10:")}


def test_flush_breaks_the_pinned_flows_it_names_and_no_other(flow_lab, transfers, changes):
    pin(transfers, changes)
    pinned = set(listed(flow_lab, "--pinned"))
    assert flow_lab.json("--dry-run", "flow", "flush", "--pinned")["flows"] == len(pinned)
    transfers.beat()
    assert transfers.broken() == []
    done = flow_lab.json("flow", "flush", "--pinned")
    assert done["changed"] and done["flows"] == len(pinned)
    transfers.beat()
    assert {(t["source"], t["destination"]) for t in transfers.broken()} == pinned


def test_drain_keeps_flows_and_tells_when_none_is_left(flow_lab, transfers, changes):
    own = by_backend(transfers.ask("list"))
    said = flow_lab.lbctl("backend", "drain", "fe/b1", "--wait", "1s", exit_code=4)
    assert str(own["b1"]) in said, said
    try:
        assert "b1" not in transfers.probe(20, "192.0.2.20")
        unbroken(transfers, TRANSFERS)
        wait_for("every transfer is a connection", lambda: flow_lab.json("backend", "show", "fe/b1")["flows"]["established"] == own["b1"])
        assert transfers.finish()["states"] == {"done": TRANSFERS}
        flow_lab.lbctl("backend", "wait", "removable", "fe/b1", "--idle", "1s", "--wait", "30s")
    finally:
        flow_lab.lbctl("backend", "ready", "fe/b1")
    assert "b1" in transfers.probe(40, "192.0.2.20")
