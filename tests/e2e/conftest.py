import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab import LBCTL, LBD, Lab  # noqa: E402


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
