"""A new lbd takes over the flows of the one before it: after SIGKILL, after an upgrade, with another number of workers."""

import random
import re
import signal

import pytest
from lab import forget_pins
from transfers import VIPS, Changes, Transfers

TRANSFERS = 200


def flow_files(lab):
    return sorted((lab.dir / "flows").glob("table-*"))


def pin(transfers, changes):
    """Changes the pool until more than a fifth of the transfers live by the flow table."""
    for _ in range(20):
        if transfers.elsewhere() > 0.2:
            return
        changes.one()
        transfers.beat()
    pytest.fail("twenty changes moved too few slots")


def set_queues(lab, count):
    """Of wan. A veth refuses to have fewer queues to receive from than its peer, which has a program too, has to send by."""
    steps = [("r", "tx"), ("lbd", "tx"), ("r", "rx"), ("lbd", "rx")]
    for host, way in steps if count == 1 else reversed(steps):
        lab.run(host, "ethtool", "-L", "wan", way, str(count))


def start_with_workers(lab, count):
    """A new lbd after SIGTERM, with so many workers for what comes in by wan."""
    lab.stop_lbd()
    if lab.engine == "dpdk":
        cores = ", ".join(map(str, range(count)))
        lab.config.write_text(re.sub(r"workers: \[.*\]", f"workers: [{cores}]", lab.config.read_text()))
    else:
        set_queues(lab, count)
    lab.start_lbd()
    assert len(lab.received()) == (count if lab.engine == "dpdk" else count + 3)


def unbroken(transfers, count=TRANSFERS):
    states = transfers.beat()["states"]
    broken = transfers.broken()
    assert states == {"live": count}, f"{states}, the first broken: {broken[:1]}{transfers.lab.log()}"


@pytest.fixture
def changes(flow_lab):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    it = Changes(flow_lab, seed)
    yield it
    it.reset()


def test_killed_and_started_ten_times_no_connection_breaks(flow_lab, changes):
    with Transfers(flow_lab, TRANSFERS) as transfers:
        pin(transfers, changes)
        for i in range(10):
            flow_lab.restart_lbd(signal.SIGKILL)
            unbroken(transfers)
            changes.one()
            assert set(transfers.probe(4, VIPS[i % len(VIPS)])) <= changes.eligible()
            if i % 5 == 4:
                pin(transfers, changes)
        assert transfers.finish()["states"] == {"done": TRANSFERS}, transfers.broken()[:1]


def test_upgrades_and_other_numbers_of_workers_break_no_connection(flow_lab, changes):
    """SIGTERM and a new start, as an upgrade does it; from two workers to one and back."""
    with Transfers(flow_lab, TRANSFERS) as transfers:
        pin(transfers, changes)
        for count in (2, 1, 2):
            start_with_workers(flow_lab, count)
            unbroken(transfers)
            changes.one()
            unbroken(transfers)
        assert transfers.finish()["states"] == {"done": TRANSFERS}, transfers.broken()[:1]


def test_control_without_its_flow_tables_pinned_connections_break(flow_lab, changes):
    with Transfers(flow_lab, TRANSFERS) as transfers:
        pin(transfers, changes)
        flow_lab.stop_lbd(signal.SIGKILL)
        if flow_lab.engine == "dpdk":
            for path in flow_files(flow_lab):
                path.unlink()
        else:
            forget_pins(flow_lab.dir)
        flow_lab.start_lbd()
        transfers.beat()
        transfers.finish()
        broken = transfers.broken()
    print(f"{len(broken)} of {TRANSFERS} broken: {sorted({t['state'] for t in broken})}")
    assert len(broken) > TRANSFERS / 10


@pytest.mark.engines("dpdk")
@pytest.mark.parametrize("damage", ["bytes", "length"])
def test_a_damaged_flow_file_is_set_aside_with_a_sentence(flow_lab, damage):
    flow_lab.stop_lbd()
    files = flow_files(flow_lab)
    assert files
    with open(files[-1], "r+b") as file:
        if damage == "length":
            file.truncate(5000)
        else:
            file.seek(16)  # of the header
            file.write(bytes(range(48)))
    size = (flow_lab.dir / "lbd.log").stat().st_size
    flow_lab.start_lbd()
    log = (flow_lab.dir / "lbd.log").read_text()[size:]
    assert [line for line in log.splitlines() if files[-1].name in line and "set aside" in line], log
    assert (flow_lab.dir / "flows" / "set-aside").exists()
    assert [r for r in flow_lab.connect("c1", "http://192.0.2.20/", 20) if "error" in r] == []
