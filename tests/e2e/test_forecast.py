"""What lbctl says before a change, against what happens to real connections then."""

import json

import pytest

from lab import wait_for
from transfers import Transfers

pytestmark = pytest.mark.engines("dpdk", "xdp-native")


def grade(lab, after):
    def found():
        events = [json.loads(line) for line in lab.lbctl("--json", "events", "--since", "5m").splitlines()]
        return [e["fields"] for e in events if e["event"] == "forecast_graded" and e["fields"]["revision"] >= after]
    return wait_for("the forecast is graded", found, 20)[0]


def flows(forecast, key):
    return sum(f[key] or 0 for f in forecast["forecast"])


def test_forecasts_are_what_happens(flow_lab):
    """400 transfers and a weight change that pins some of them."""
    lab = flow_lab
    allow = [word for s in ("dsr", "tun", "dsr6", "tun6") for word in ("--allow-reshuffle", s)]
    lab.lbctl("flow", "flush", "--all")  # of earlier tests
    with Transfers(lab, 400, piece_ms=200) as transfers:
        # Beyond their first packet: what may be a flood's is not counted.
        wait_for("the flows are established", lambda: transfers.beat() and sum(b["established"] for b in lab.json("flow", "count")["backends"]) >= 400)
        asked = lab.json("--dry-run", "backend", "set", "fe/b1", "--weight", "20", *allow)
        done = lab.json("backend", "set", "fe/b1", "--weight", "20", *allow)
        assert done["forecast"] == asked["forecast"] or abs(flows(done, "flows") - flows(asked, "flows")) <= 5
        assert flows(done, "flows") >= 150 and flows(done, "flows_pinned") >= 20, done["forecast"]
        said = grade(lab, done["revision"])
        assert said["pinned_predicted"] == flows(done, "flows_pinned")
        # The same flows, counted anew: none of them ended, and none was moved.
        assert abs(said["pinned"] - said["pinned_predicted"]) <= 0.02 * said["flows"] + 2, said
        assert (said["moved_predicted"], said["moved"]) == (0, 0)
        # The same from another side: what explain says of each connection.
        assert abs(transfers.elsewhere() * 400 - said["pinned"]) <= 0.02 * said["flows"] + 2
        lab.json("backend", "set", "fe/b1", "--weight", "100", *allow)
        transfers.finish()
