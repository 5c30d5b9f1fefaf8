"""Connections stay where they are while the pool changes a hundred times; new ones obey each change at once."""

import os
import random

import pytest
from transfers import VIPS, Changes, Transfers

TRANSFERS = 200


def change_under(lab, transfers, changes, count, obeys=True):
    """Makes changes; after each some new connections, and a piece through every transfer. Returns the largest share that lived by tracking."""
    elsewhere = 0.0
    for i in range(count):
        changes.one()
        vip = VIPS[i % len(VIPS)]
        answered = set(transfers.probe(6, vip))
        eligible = changes.eligible()
        if obeys:
            assert answered <= eligible, (f"after change {i}: new connections to {vip} met {answered}, eligible are {eligible}; "
                                          f"the last changes: {changes.history[-12:]}\n{lab.lbctl('backend', 'list')}{lab.lbctl('flow', 'list', '--class', 'once')}{lab.log()}")
        states = transfers.beat()["states"]
        if states.get("live", 0) > 0 and i % 10 == 9:
            elsewhere = max(elsewhere, transfers.elsewhere())
    return elsewhere


def test_a_hundred_pool_changes_break_no_connection(flow_lab):
    seed = int(os.environ.get("LBD_SEED", 0)) or random.randrange(1 << 32)
    print(f"seed {seed}")
    changes = Changes(flow_lab, seed)
    with Transfers(flow_lab, TRANSFERS) as transfers:
        try:
            elsewhere = change_under(flow_lab, transfers, changes, 100)
        finally:
            changes.reset()
        finished = transfers.finish()
        broken = transfers.broken()
    print(f"changes {changes.done}, {changes.slots_moved:.1f} times all slots moved in sum; at most {elsewhere:.0%} of the transfers lived by "
          f"tracking; {finished['pieces']} pieces of 4 KiB")
    assert broken == [], f"{len(broken)} broken, the first: {broken[0]}"
    assert finished["states"] == {"done": TRANSFERS}
    assert changes.slots_moved > 0.2 and elsewhere > 0.2


@pytest.mark.parametrize("transfers", [400])
def test_control_without_tracking_changes_break_hundreds(flow_lab, transfers):
    flow_lab.tracking(False)
    changes = Changes(flow_lab, 7)
    try:
        with Transfers(flow_lab, transfers) as running:
            try:
                change_under(flow_lab, running, changes, 20)
            finally:
                changes.reset()
            running.finish()
            broken = running.broken()
    finally:
        flow_lab.tracking(True)
    print(f"{len(broken)} of {transfers} broken: {sorted({t['state'] for t in broken})}")
    assert len(broken) >= 200
