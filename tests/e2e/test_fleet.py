"""A mixed fleet: one node with each engine behind ECMP. What both compute is the same; what one knows alone is lost with it."""

import pytest
from fleet import PATIENCE_S, Fleet
from lab import wait_for
from transfers import ADDRESS, BACKENDS, Transfers

CONNECTIONS = 1000
PIECE_MS = 500


@pytest.fixture(scope="module")
def fleet(binaries):
    with Fleet("fleet") as it:
        yield it


def key(transfer):
    return transfer["source"], transfer["destination"]


def explained(node, transfers):
    """Connection -> what this node would do with its next packet."""
    lines = "".join(f"tcp {t['source']} {t['destination']}\n" for t in transfers)
    answers = node.json("explain", "--from", "-", stdin=lines)["answers"]
    return {key(t): a for t, a in zip(transfers, answers)}


def digests(node):
    """Service -> its two digests, and what makes them differ."""
    return {s["service"]: s for s in node.json("table", "digest")["services"]}


def assert_equal_tables(fleet):
    dpdk, xdp = (digests(node) for node in fleet.nodes)
    assert {n: (s["configured"], s["live"]) for n, s in dpdk.items()} == {n: (s["configured"], s["live"]) for n, s in xdp.items()}


# What stands before the connections are opened, the change, and how it is undone; on both nodes.
CHANGES = {
    "drain": ((), ("drain", "fe/b4"), ("ready", "fe/b4")),
    "add": (("remove", "fe/b4"), ("add", "fe/b4", ADDRESS["b4"], "--weight", 100), ("set", "fe/b4", "--weight", 50)),
    "weight": ((), ("set", "fe/b4", "--weight", 300), ("set", "fe/b4", "--weight", 50)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("lost", ["lbd", "lbd2"])
def test_a_node_lost_right_after_a_change_takes_pinned_connections_only(fleet, lost, change):
    lost = fleet.node(lost)
    left = next(n for n in fleet.nodes if n is not lost)
    before, now, after = CHANGES[change]
    if before:
        fleet.ctl("backend", *before)
    fleet.forget_flows()
    try:
        with Transfers(lost, CONNECTIONS, piece_ms=PIECE_MS, backends=BACKENDS[:3] if before else BACKENDS) as transfers:
            own = transfers.ask("list")
            fleet.ctl("backend", *now)
            at_lost, at_left = explained(lost, own), explained(left, own)
            carried = {k for k in at_lost if at_lost[k].get("tracked") and not at_left[k].get("tracked")}
            pinned = {k for k in carried if at_lost[k]["pinned"]}
            fleet.lose(lost)
            try:
                transfers.beat()
                states = {key(t): t["state"] for t in transfers.ask("list")}
                live = [t for t in own if states[key(t)] == "live"]
                after_loss = explained(left, live)
                finished = transfers.finish()["states"]
            finally:
                fleet.bring_back(lost)
    finally:
        fleet.ctl("backend", *after)
    broken = {k for k, state in states.items() if state != "live"}
    print(f"{lost.node} ({lost.engine}) lost after {change}: it carried {len(carried)} of {CONNECTIONS} connections, {len(pinned)} pinned by the change; "
          f"broken: {len(broken & pinned)} of the pinned ones, {len(broken - pinned)} others")
    assert CONNECTIONS / 4 < len(carried) < CONNECTIONS * 3 / 4 and pinned
    assert broken <= pinned, [(k, states[k], at_lost[k]) for k in broken - pinned][:2]
    assert [t for t in live if after_loss[key(t)]["backend"]["name"] != t["backend"]] == []
    assert finished.get("done") == CONNECTIONS - len(broken), finished
    assert_equal_tables(fleet)


def test_equal_nodes_have_equal_digests_and_a_drain_on_one_is_told(fleet):
    assert_equal_tables(fleet)
    drained = fleet.node("lbd2")
    drained.lbctl("backend", "drain", "fe/b2", "--allow-reshuffle", "dsr", "--allow-reshuffle", "tun")
    try:
        dpdk, xdp = (digests(node) for node in fleet.nodes)
        assert [n for n in dpdk if dpdk[n]["configured"] != xdp[n]["configured"]] == []
        assert {n for n in dpdk if dpdk[n]["live"] != xdp[n]["live"]} == {"dsr", "tun"}
        for name in ("dsr", "tun"):
            assert xdp[name]["live"] != xdp[name]["configured"] and "b2" in str(xdp[name]["why"]), xdp[name]
            assert "b2" in drained.lbctl("table", "digest", name)
    finally:
        drained.lbctl("backend", "ready", "fe/b2", "--allow-reshuffle", "dsr", "--allow-reshuffle", "tun")
    assert_equal_tables(fleet)


@pytest.mark.parametrize("where", ["lbd", "lbd2"])
def test_a_next_hop_that_one_node_lacks_is_told_by_its_digest(fleet, where):
    node = fleet.node(where)
    other = next(n for n in fleet.nodes if n is not node)
    node.run(node.node, "ip", "route", "add", "blackhole", f"{ADDRESS['b3']}/32")
    try:
        found = wait_for("b3 is out of the live table", lambda: (d := digests(node)["tun"])["live"] != d["configured"] and d, PATIENCE_S)
        assert "b3" in str(found["why"]), found
        assert "b3" in node.lbctl("table", "digest", "tun")
        assert found["configured"] == digests(other)["tun"]["configured"] == digests(other)["tun"]["live"]
    finally:
        node.run(node.node, "ip", "route", "del", "blackhole", f"{ADDRESS['b3']}/32")
    wait_for("b3 is back", lambda: (d := digests(node)["tun"])["live"] == d["configured"], PATIENCE_S)
    assert_equal_tables(fleet)


def test_control_another_hash_key_on_one_node_breaks_connections_that_nothing_pinned(fleet):
    """Were the tables of the nodes not computed alike, losing one would show it."""
    lost, left = fleet.nodes
    config = left.config.read_text()
    left.restart_lbd(edit=lambda text: text.replace("/hash-key", "/lbd2/hash-key"))
    try:
        fleet.wait_resolved(left)
        fleet.forget_flows()
        with Transfers(lost, 200, piece_ms=PIECE_MS) as transfers:
            carried = {k for k, a in explained(lost, transfers.ask("list")).items() if a.get("tracked") and not a["pinned"]}
            fleet.lose(lost)
            try:
                transfers.beat()
                broken = {key(t) for t in transfers.broken()} & carried
                transfers.finish()
            finally:
                fleet.bring_back(lost)
    finally:
        left.restart_lbd(edit=lambda text: config)
    print(f"{len(broken)} of {len(carried)} broke")
    assert carried and len(broken) > len(carried) / 4
