"""From IPVS and from keepalived to lbd: what describes the lab's services is imported, applied, and carries connections."""

import subprocess

import pytest

from lab import LBCTL, shares

# As `ipvsadm-save -n` prints it of a director with the lab's services.
IPVS = """-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 10.1.0.11:80 -g -w 100
-a -t 192.0.2.10:80 -r 10.1.0.12:80 -g -w 100
-A -t 192.0.2.20:80 -s sh
-a -t 192.0.2.20:80 -r 10.1.0.11:80 -i -w 3
-a -t 192.0.2.20:80 -r 10.1.0.12:80 -i -w 1
"""

KEEPALIVED = """! a director's
global_defs {
    router_id LVS
}
vrrp_instance VI_1 {
    interface eth0
    virtual_ipaddress {
        192.0.2.10
    }
}
virtual_server 192.0.2.10 80 {
    delay_loop 6
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 10.1.0.13 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
    real_server 10.1.0.14 80 {
        weight 1
    }
}
virtual_server_group tunnelled {
    192.0.2.20 80
    2001:db8:0:1::20 80
}
virtual_server group tunnelled {
    lb_algo wlc
    lb_kind TUN
    real_server 10.1.0.13 80 {
        weight 1
    }
}
"""


def names(lab):
    return {s["name"] for s in lab.json("service", "list")["services"]}


@pytest.fixture
def as_it_was(lab):
    """What ran before comes back."""
    text, before = lab.lbctl("config", "show"), names(lab)
    yield
    apply(lab, "-", len(names(lab) - before), stdin=text)


def apply(lab, document, remove, stdin=None):
    lab.lbctl("flow", "flush", "--all")
    lab.lbctl("config", "apply", document, "--remove", remove, "--break-flows", "100000", "--reason", "import", stdin=stdin)


def imported(tmp_path, kind, text):
    source = tmp_path / f"{kind}.conf"
    source.write_text(text)
    done = subprocess.run([LBCTL, "config", "import", kind, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    checked = subprocess.run([LBCTL, "config", "check", "-"], input=done.stdout, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    document = tmp_path / f"{kind}.yaml"
    document.write_text(done.stdout)
    return document


def served_by(lab, url, count=60):
    results = lab.connect("c1", url, count)
    assert [r for r in results if "error" in r] == []
    return set(shares(results))


def test_a_dump_of_ipvs_runs(lab, tmp_path, as_it_was):
    apply(lab, imported(tmp_path, "ipvs", IPVS), len(names(lab)))
    assert names(lab) == {"tcp-192.0.2.10-80", "tcp-192.0.2.20-80"}
    assert served_by(lab, "http://192.0.2.10/") == {"b1", "b2"}
    # By the client's address alone: one client, one backend.
    assert len(served_by(lab, "http://192.0.2.20/", 20)) == 1


def test_a_keepalived_conf_runs(lab, tmp_path, as_it_was):
    apply(lab, imported(tmp_path, "keepalived", KEEPALIVED), len(names(lab)))
    assert served_by(lab, "http://192.0.2.10/") == {"b3", "b4"}
    assert served_by(lab, "http://192.0.2.20/", 10) == {"b3"}
    assert served_by(lab, "http://[2001:db8:0:1::20]/", 10) == {"b3"}


def test_service_apply_adds_a_team_s_services_and_leaves_the_others(lab, tmp_path, as_it_was):
    team = tmp_path / "team.yaml"
    team.write_text("version: 1\npools:\n  team: {backends: [{name: t1, address: 10.1.0.14}]}\n"
                    "services:\n  team: {listen: [\"192.0.2.10:8080/tcp\"], pool: team, forward: dsr}\n")
    before = lab.json("config", "show")
    dry = lab.json("--dry-run", "service", "apply", "-f", team)
    assert dry["changed"] and dry["dry_run"] and [f["service"] for f in dry["forecast"]] == ["team"]
    assert lab.json("config", "show") == before
    done = lab.json("service", "apply", "-f", team, "--reason", "team")
    assert done["revision"] == before["revision"] + 1 and done["lines"] == dry["lines"]
    assert served_by(lab, "http://192.0.2.10/") == {"b1", "b2", "b3", "b4"}
    assert lab.json("service", "apply", "-f", team)["changed"] is False
    team.write_text("version: 1\nservices:\n  other: {listen: [\"192.0.2.10:81/tcp\"], pool: nope}\n")
    told = lab.lbctl("service", "apply", "-f", team, exit_code=1)
    assert f"{team}:3:" in told and "nope" in told and "nothing was sent to lbd" in told
