"""A flow whose packets come in at another queue, and so at another worker, keeps its backend."""

import random
from pathlib import Path

import pytest
from test_flow_restart import TRANSFERS, pin, unbroken
from transfers import Changes, Transfers


def cpu_mask(cpu_list):
    """0-1,4 -> 13, as sysfs takes it: hexadecimal, a comma between words of 32."""
    mask = 0
    for part in cpu_list.split(","):
        first, _, last = part.partition("-")
        for cpu in range(int(first), int(last or first) + 1):
            mask |= 1 << cpu
    words = f"{mask:x}".zfill(8 * -(-mask.bit_length() // 32))
    return ",".join(words[i:i + 8] for i in range(0, len(words), 8))


def steer(lab, queue):
    """All that r sends to lbd goes through this queue (None: by hash). A queue of lbd's end of the link is a worker there."""
    everyone = Path("/sys/devices/system/cpu/online").read_text().strip()
    for q in range(2):
        where = f"/sys/class/net/wan/queues/tx-{q}/xps_cpus"
        lab.run("r", "sh", "-c", f"echo {cpu_mask(everyone) if q == queue else 0} >{where}")


# In generic mode a veth tells no queue: the kernel counts everything as received on queue 0.
@pytest.mark.engines("dpdk", "xdp-native")
def test_a_flow_on_another_queue_keeps_its_backend(flow_lab):
    """Half of the transfers meet another worker each time, which has never seen them: it finds them in the other's table."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    changes = Changes(flow_lab, seed)
    try:
        with Transfers(flow_lab, TRANSFERS) as transfers:
            pin(transfers, changes)
            before = flow_lab.totals()
            for queue in (0, 1, None):
                steer(flow_lab, queue)
                unbroken(transfers)  # what was under way has arrived
                start = flow_lab.received()
                unbroken(transfers)
                got = [b - a for a, b in zip(start, flow_lab.received())]
                print(f"queue {queue}: workers received {got}")
                assert sum(got) > 0 and (queue is None or got[1 - queue] == 0), f"queue {queue}: {got}"
                changes.one()
            after = flow_lab.totals()
            assert transfers.finish()["states"] == {"done": TRANSFERS}, transfers.broken()[:1]
    finally:
        steer(flow_lab, None)
        changes.reset()
    found, skipped = (after[c] - before[c] for c in ("foreign_found", "foreign_skipped"))
    print(f"{found} flows found in the other worker's table, {skipped} packets not looked for")
    assert found > 0
