"""What engine xdp refuses, with its sentence; and what was there is there afterwards."""

import json
import subprocess

import pytest
from lab import PASS

pytestmark = pytest.mark.engines("xdp-native", "xdp-generic")


def link(host, *args):
    return subprocess.run(["ip", "-n", host.ns, *map(str, args)], check=True, capture_output=True, text=True).stdout


def test_an_interface_that_another_program_has_is_left_to_it(host):
    link(host, "link", "set", "dev", "up0", "xdpdrv" if host.engine == "xdp-native" else "xdpgeneric", "obj", PASS, "sec", "xdp")
    before = link(host, "-d", "link", "show", "dev", "up0")
    said = host.refused(host.config())
    assert "up0" in said and ("busy" in said or "already" in said or "another" in said), said
    assert link(host, "-d", "link", "show", "dev", "up0") == before


@pytest.mark.engines("xdp-native")
def test_a_driver_that_cannot_native_names_generic(host):
    """A veth whose peer may send more than a page holds."""
    link(host, "link", "set", "dev", "up1", "mtu", "9000")
    said = host.refused(host.config())
    assert "up0" in said and "generic" in said, said
    host.ready(host.start(host.config(native="generic")))


def test_engine_facts_and_ports_speak_of_interfaces(host):
    process = host.start(host.config())
    host.ready(process)
    port, = json.loads(host.lbctl("--json", "stats", "ports").stdout)["ports"]
    assert (port["name"], port["driver"]) == ("up0", host.engine.replace("-", " ")), port
    names = [w["name"] for w in json.loads(host.lbctl("--json", "stats", "workers").stdout)["workers"]]
    assert names == ["up0/0", "exception"], names
