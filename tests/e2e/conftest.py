import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab import LBCTL, LBD, Lab  # noqa: E402
from transfers import Servers, with_transfer_port  # noqa: E402


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


@pytest.fixture(scope="session")
def binaries():
    for path in (LBD, LBCTL):
        assert path.exists(), f"{path} is not built: run scripts/build"


@pytest.fixture(scope="module")
def lab(binaries, request):
    """A lab with lbd running on AF_XDP ports, two workers, one lab a module."""
    it = Lab("e2e")
    it.script("down")
    it.script("up", "--lbd")
    yield it
    it.script("down")


@pytest.fixture(scope="module")
def lab_without_decap(binaries):
    it = Lab("nodecap")
    it.script("down")
    it.script("up", "--lbd", "--no-decap")
    yield it
    it.script("down")


class FlowLab(Lab):
    """A lab whose backends take lasting transfers (transfers.py) as well."""

    FLOWS = 65536

    def tracking(self, on):
        self.restart_lbd(edit=lambda text: re.sub(r"^  flows: .*$", f"  flows: {self.FLOWS if on else 0}", text, flags=re.M))


@pytest.fixture(scope="session")
def flow_lab(binaries):
    it = FlowLab("flows")
    it.script("down")
    servers = None
    try:
        it.script("up")
        it.config.write_text(with_transfer_port(it.config.read_text()))
        it.start_lbd()
        servers = Servers(it)
        yield it
    finally:
        if servers:
            servers.close()
        if it.daemon:
            it.stop_lbd()
        it.script("down")
