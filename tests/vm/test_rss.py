"""Two receive queues, two workers: who gets which flow."""

import network
from guest import AUX, PCI
from network import VIPS
from transfers import Transfers

FLOWS = 2004
AT_ONCE = 167  # connections that begin together: no more than a ring of the emulated NIC holds


def open_flows(transfers):
    each = FLOWS // len(VIPS)
    for vip in VIPS:
        for _ in range(each // AT_ONCE):
            transfers.open(AT_ONCE, vip)
    assert transfers.count == FLOWS


def flows_by_worker(lbd):
    """(source, destination) -> workers that have an entry of it."""
    by_flow = {}
    for flow in lbd.json("flow", "list", "--all")["flows"]:
        if not flow["former"] and flow["destination"].endswith(":9000"):
            by_flow.setdefault((flow["source"], flow["destination"]), []).append(flow["worker"])
    return by_flow


def port(lbd, name):
    return next(p for p in lbd.json("stats", "ports")["ports"] if p["port"] == name)


def shared_evenly_and_kept(lbd):
    """Opens the flows, sends on each of them again: every one on one worker all the time, each worker with 40 to 60 % of them."""
    before = lbd.totals()
    with Transfers() as transfers:
        open_flows(transfers)
        first = flows_by_worker(lbd)
        assert len(first) >= FLOWS, f"{len(first)} flows in the tables"
        several = [flow for flow, workers in first.items() if len(workers) != 1]
        assert not several, f"{len(several)} flows are in the tables of several workers: {several[:3]}"
        counts = [sum(workers == [w] for workers in first.values()) for w in (0, 1)]
        print(f"workers have {counts} flows")
        assert all(0.4 * len(first) <= n <= 0.6 * len(first) for n in counts), counts
        transfers.finish()
    assert flows_by_worker(lbd) == first
    after = lbd.totals()
    looked = {c: after[c] - before[c] for c in ("foreign_found", "foreign_skipped", "handed_in")}
    assert looked["foreign_found"] == 0 and looked["foreign_skipped"] == 0, looked
    assert lbd.json("stats", "workers")["balanced"]
    return looked["handed_in"]


def test_rss_gives_each_worker_its_flows(world):
    lbd = world.lbd()
    for name in PCI:
        assert port(lbd, name)["dispatch"] == "rss", port(lbd, name)
    assert shared_evenly_and_kept(lbd) == 0


def test_without_rss_lbd_says_so_and_dispatches_in_software(world):
    world.stop()
    lbd = world.start({"wan": AUX, "lan": PCI["lan"]}, network.LBD_AUX)
    try:
        dispatch = port(lbd, "wan")["dispatch"]
        assert dispatch == "software: it has no RSS for IP packets", dispatch
        assert "flows are dispatched in software: it has no RSS for IP packets" in lbd.log()
        # What one worker received for the other went through a ring.
        assert shared_evenly_and_kept(lbd) > 0
    finally:
        world.stop()
