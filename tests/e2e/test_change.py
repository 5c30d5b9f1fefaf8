"""Changes while traffic flows, and explain: what lbctl says is what the packets get."""

import json

import pytest

from lab import chi_square_p, shares, wait_for

# These services have flows when their weights change by much.
RESHUFFLE = ("--allow-reshuffle", "dsr", "--allow-reshuffle", "tun")


def test_a_weight_change_moves_the_shares(lab):
    try:
        answer = lab.json("backend", "set", "fe/b1", "--weight", "0")
        assert answer["changed"] and answer["late_workers"] == []
        assert "b1" not in shares(lab.connect("c1", "http://192.0.2.20/", 200))
        lab.lbctl("backend", "set", "fe/b1", "--weight", "600", *RESHUFFLE)
        observed = shares(lab.connect("c1", "http://192.0.2.20/", 800))
        assert chi_square_p(observed, {"b1": 600, "b2": 100, "b3": 50, "b4": 50}) > 0.001
    finally:
        lab.lbctl("backend", "set", "fe/b1", "--weight", "100", *RESHUFFLE)


def test_a_backend_leaves_and_comes_back(lab):
    lab.lbctl("backend", "remove", "fe/b2")
    try:
        results = lab.connect("c2", "http://192.0.2.10/", 200)
        assert [r for r in results if "error" in r] == [] and "b2" not in shares(results)
    finally:
        lab.lbctl("backend", "add", "fe/b2", "10.1.0.12", "--weight", "100")
    assert "b2" in shares(lab.connect("c2", "http://192.0.2.10/", 200))


def test_no_connection_fails_while_weights_change_all_the_time(lab):
    """dsr without tracking: a flow whose slot moves would break, so the change is a no-op for the slots: another pool's."""
    client = lab.popen("c1", "/usr/bin/python3", "-c", "import runpy,sys;sys.argv=sys.argv[1:];runpy.run_path(sys.argv[0],run_name='__main__')",
                       str(__import__("lab").CLIENT), "http://192.0.2.20/", "--count", "1500", stdout=-1)
    changes = 0
    while client.poll() is None and changes < 200:
        lab.lbctl("backend", "set", "fe6/b1", "--weight", str(100 + changes % 7 + 1))
        changes += 1
    out, _ = client.communicate(timeout=120)
    lab.lbctl("backend", "set", "fe6/b1", "--weight", "100")
    results = [json.loads(line) for line in out.splitlines()]
    assert len(results) == 1500 and [r for r in results if "error" in r] == []
    assert changes >= 10
    print(f"{changes} generations under load")


FLOWS = [
    ("c1", "http://192.0.2.10/", "dsr"), ("c2", "http://[2001:db8:0:1::10]/", "dsr6"),
    ("c2", "http://192.0.2.20/", "tun"), ("c1", "http://[2001:db8:0:1::20]/", "tun"),
    ("c1", "http://192.0.2.21/", "tun6"),
]


def forwarding(lab, answer):
    """The workers' counters, without those that stand still with dpdk only: frames of the lab's background (ND, ARP) do not reach the
    filter there, and are punted by the program of xdp."""
    background = () if lab.engine == "dpdk" else ("rx_packets", "rx_bytes", "punted")
    return [{k: v for k, v in w["counters"].items() if k not in background} for w in answer["workers"]]


def test_explain_equals_what_the_datapath_did_for_ten_thousand_flows(lab):
    """After weight changes, both families, both workers; and explaining counts nothing."""
    # A former connection with the same addresses and ports may be known to the other worker.
    lab.lbctl("flow", "flush", "--all")
    lab.lbctl("backend", "set", "fe/b3", "--weight", "170", *RESHUFFLE)
    lab.lbctl("backend", "set", "fe6/b4", "--weight", "20")
    try:
        results = []
        for client, url, _ in FLOWS:
            results += lab.connect(client, url, 2000)
        assert len(results) == 10000 and [r for r in results if "error" in r] == []
        lines = []
        for r in results:
            left, right = ("[%s]:%d", "[%s]:%d") if ":" in r["source"] else ("%s:%d", "%s:%d")
            lines.append("tcp " + left % (r["source"], r["source_port"]) + " " + right % (r["destination"], r["port"]))
        wait_for("the last packets are counted", lab.counters_sum)
        before = lab.json("stats", "workers")
        services_before = lab.json("stats", "services")
        answers = lab.json("explain", "--from", "-", stdin="\n".join(lines) + "\n")["answers"]
        after = lab.json("stats", "workers")
        wrong = [(line, r["backend"], a) for line, r, a in zip(lines, results, answers) if a["backend"]["name"] != r["backend"]]
        assert len(answers) == 10000 and wrong == [], f"{len(wrong)} differ, the first: {wrong[0]}"
        assert forwarding(lab, before) == forwarding(lab, after)
        assert services_before == lab.json("stats", "services")
        assert all(packets > 0 for packets in lab.received()[:lab.queues])
    finally:
        lab.lbctl("backend", "set", "fe/b3", "--weight", "50", *RESHUFFLE)
        lab.lbctl("backend", "set", "fe6/b4", "--weight", "50")


def test_a_lost_next_hop_makes_the_backend_ineligible_and_says_why(lab):
    lab.run("b4", "ip", "link", "set", "eth0", "down")
    try:
        lab.run("lbd", "ip", "neigh", "flush", "dev", "lan")

        def gone():
            why = lab.json("backend", "show", "fe/b4")["why"]["ipip"]
            return why if why else None

        assert "10.1.0.14" in wait_for("b4 is not eligible", gone, 20)
        results = lab.connect("c1", "http://192.0.2.20/", 100)
        assert [r for r in results if "error" in r] == [] and "b4" not in shares(results)
    finally:
        lab.run("b4", "ip", "link", "set", "eth0", "up")
        # A link that went down lost its addresses of IPv6 and its routes.
        lab.run("b4", "ip", "addr", "replace", "2001:db8:b::14/64", "dev", "eth0", "nodad")
        lab.run("b4", "ip", "route", "replace", "default", "via", "10.1.0.1")
        lab.run("b4", "ip", "-6", "route", "replace", "default", "via", "2001:db8:b::1")
    wait_for("b4 is eligible again", lambda: lab.json("backend", "show", "fe/b4")["eligible"]["ipip"], 20)


@pytest.mark.parametrize("size", [1480, 1500])
def test_a_packet_that_does_not_fit_is_told_by_explain(lab, size):
    answer = lab.json("explain", "tcp", "198.51.100.10:4000", "192.0.2.20:80", "--size", size)["answers"][0]
    assert answer["verdict"] == "forwarded" and answer["out_bytes"] == size + 20
    answer = lab.json("explain", "tcp", "198.51.100.10:4000", "192.0.2.20:80", "--size", 1590)["answers"][0]
    assert (answer["verdict"], answer["reason"]) == ("answered", "too_big")
