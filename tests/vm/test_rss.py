"""Two receive queues, two workers: who gets which flow."""

import re

import network
from guest import AUX, PCI, run
from network import VIPS
from transfers import Transfers

FLOWS, FEWER_FLOWS = 2016, 504
AT_ONCE = 84  # connections that begin together: few enough for every queue on their way


def open_flows(transfers, count):
    """The same number to each VIP."""
    while transfers.count < count:
        for vip in VIPS:
            transfers.open(AT_ONCE, vip)


def flows_by_worker(lbd):
    """(source, destination) -> workers that have an entry of it."""
    by_flow = {}
    for flow in lbd.json("flow", "list", "--limit", 100_000)["flows"]:
        if not flow["former"] and flow["destination"].endswith(":9000"):
            by_flow.setdefault((flow["source"], flow["destination"]), []).append(flow["worker"])
    return by_flow


SOFTWARE = "flows are dispatched in software: "


def shared_evenly_and_kept(lbd, count):
    """Opens the flows, sends on each of them again: every one on one worker all the time, each worker with 40 to 60 % of them."""
    before = lbd.totals()
    with Transfers() as transfers:
        open_flows(transfers, count)
        first = flows_by_worker(lbd)
        assert len(first) >= count, f"{len(first)} flows in the tables"
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
    dispatch = {name: lbd.json("port", "show", name)["dispatch"] for name in PCI}
    assert dispatch == {name: "rss" for name in PCI}, dispatch
    assert shared_evenly_and_kept(lbd, FLOWS) == 0


def test_without_rss_lbd_says_so_and_dispatches_in_software(world):
    world.stop()
    lbd = world.start({"wan": AUX, "lan": PCI["lan"]}, network.LBD_AUX)
    try:
        said = re.findall(f"port (.*): {SOFTWARE}(.*)\"", lbd.log())
        assert len(said) == 1 and said[0][0] == "wan" and "it has no RSS for IP packets" in said[0][1], said
        # What one worker received for the other went through a ring.
        assert shared_evenly_and_kept(lbd, FEWER_FLOWS) > 0
    finally:
        world.stop()
        run("ip", "link", "del", "lbd-wan")  # it would stay, with the addresses of this wire
