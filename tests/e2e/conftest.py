import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from host import ENGINES, Host  # noqa: E402
from lab import LBCTL, LBD, Lab  # noqa: E402
from transfers import Servers, with_transfer_port  # noqa: E402

LONG = os.environ.get("LBD_LONG", "no")
# What the program does in generic mode; the rest is lbd's and lbctl's, and as in native mode: with scripts/test --long.
GENERIC = {"test_traffic", "test_flows", "test_floods", "test_flow_restart", "test_flow_queues", "test_life", "test_edges_fragments", "test_edges_pmtu"}


def pytest_configure(config):
    config.addinivalue_line("markers", "engines(name...): run with these engines only, not with each")


def pytest_generate_tests(metafunc):
    """One list of tests for every engine; pytest runs all of one engine before those of the next, so that they share its labs."""
    if "engine" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("engines")
        engines = list(only.args if only else ENGINES)
        if len(engines) > 1 and LONG != "yes" and metafunc.module.__name__.rpartition(".")[2] not in GENERIC:
            engines = [engine for engine in engines if engine != "xdp-generic"]
        metafunc.parametrize("engine", engines, indirect=True, scope="session")


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


@pytest.fixture(scope="session")
def binaries():
    for path in (LBD, LBCTL):
        assert path.exists(), f"{path} is not built: run scripts/build"


@pytest.fixture(scope="session")
def engine(request):
    return request.param


@pytest.fixture(scope="session")
def lab(binaries, engine):
    """A lab with lbd running: two queues of each interface, with dpdk AF_XDP ports and two workers."""
    it = Lab("e2e", engine)
    it.up("--lbd")
    yield it
    it.script("down")


@pytest.fixture
def lab_without_decap(binaries, engine):
    it = Lab("nodecap", engine)
    it.up("--lbd", "--no-decap")
    yield it
    it.script("down")


@pytest.fixture
def host(binaries, engine, tmp_path):
    it = Host(engine, tmp_path)
    yield it
    it.stop()


class FlowLab(Lab):
    """A lab whose backends take lasting transfers (transfers.py) as well."""

    FLOWS = 65536

    def tracking(self, on):
        self.restart_lbd(edit=lambda text: re.sub(r"^  flows: .*$", f"  flows: {self.FLOWS if on else 0}", text, flags=re.M))


@pytest.fixture(scope="session")
def flow_lab(binaries, engine):
    it = FlowLab("flows", engine)
    servers = None
    try:
        it.up()
        it.config.write_text(with_transfer_port(it.config.read_text()))
        it.start_lbd()
        servers = Servers(it)
        yield it
    finally:
        if servers:
            servers.close()
        it.close()
