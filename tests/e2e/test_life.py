"""Engine xdp without lbd: after SIGKILL the kernel goes on with the program, lbctl says so, and the next lbd takes it over."""

import re
import signal

import pytest
from lab import wait_for
from test_flow_restart import TRANSFERS, changes, pin, unbroken  # noqa: F401  pylint: disable=unused-import
from transfers import BACKENDS, VIPS, Transfers

pytestmark = pytest.mark.engines("xdp-native", "xdp-generic")


def attached(lab):
    """Of lbd's interfaces those with an XDP program."""
    return [name for name in ("wan", "lan") if "prog/xdp" in lab.run("lbd", "ip", "-d", "link", "show", "dev", name).stdout]


def answered(lab, timeout):
    """Backends of some new connections, those that failed left out."""
    return [r["backend"] for r in lab.connect("c2", "http://192.0.2.20/", 8, timeout=timeout) if "error" not in r]


@pytest.fixture
def running(flow_lab):
    """The lab, whose lbd runs afterwards with its usual configuration, whatever became of it."""
    config = flow_lab.config.read_text()
    yield flow_lab
    if flow_lab.daemon:
        flow_lab.stop_lbd()
    flow_lab.config.write_text(config)
    flow_lab.start_lbd()


def test_traffic_goes_on_while_lbd_is_dead_and_the_next_one_takes_it_over(running, changes):  # noqa: F811
    with Transfers(running, TRANSFERS) as transfers:
        pin(transfers, changes)
        running.stop_lbd(signal.SIGKILL)
        for vip in VIPS:
            unbroken(transfers)
            assert set(transfers.probe(6, vip)) <= changes.eligible()
        said = running.lbctl("stats", exit_code=3)
        assert "still forward" in said and "wan" in said and "lan" in said, said
        running.start_lbd()
        unbroken(transfers)
        changes.one()
        unbroken(transfers)
        assert set(transfers.probe(6, VIPS[0])) <= changes.eligible()
        assert transfers.finish()["states"] == {"done": TRANSFERS}, transfers.broken()[:1]


def test_after_orphan_after_the_kernel_has_the_packets(running):
    """And a new lbd finds the flows where the program left them."""
    running.restart_lbd(edit=lambda text: re.sub(r"^  flows:", "  orphan-after: 3s\n  flows:", text, flags=re.M))
    with Transfers(running, 60) as transfers:
        running.stop_lbd(signal.SIGKILL)
        wait_for("the program passes packets to the kernel", lambda: answered(running, 0.5) == [], 30)
        assert attached(running) == ["wan", "lan"]
        said = running.lbctl("stats", exit_code=3)
        assert "still forward" not in said, said
        running.start_lbd()
        unbroken(transfers, 60)
        assert transfers.finish()["states"] == {"done": 60}, transfers.broken()[:1]


def test_sigterm_takes_the_program_off(running):
    assert attached(running) == ["wan", "lan"]
    running.stop_lbd()
    assert attached(running) == []
    assert answered(running, 0.5) == []
    assert "still forward" not in running.lbctl("stats", exit_code=3)


def test_engine_detach_takes_off_what_forwards_without_lbd_when_forced(running):
    said = running.lbctl("engine", "detach", "--force", exit_code=1)
    assert "stop" in said.lower() and attached(running) == ["wan", "lan"], said
    running.stop_lbd(signal.SIGKILL)
    said = running.lbctl("engine", "detach", exit_code=1)
    assert "--force" in said and attached(running) == ["wan", "lan"], said
    assert set(answered(running, 30)) <= set(BACKENDS)
    running.lbctl("engine", "show")
    running.lbctl("engine", "detach", "--force")
    assert attached(running) == []
    assert answered(running, 0.5) == []
