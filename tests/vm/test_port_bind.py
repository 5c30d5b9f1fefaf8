"""lbctl port bind, confirm, unbind: a NIC with addresses and routes goes to vfio-pci and comes back, whatever happens on the way."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import network
from daemon import Daemon
from guest import LBCTL, PCI, bind, driver_of, interface_of, ip, run, wait_for

FOLDER = Path("/run/lbd-moved")
WAN = PCI["wan"]
RECORD = Path(f"/run/lbctl/ports/{WAN}.json")
ROUTES = ["198.51.100.0/24 via 203.0.113.1 metric 50", "2001:db8:c1::/64 via 2001:db8:a::1", "10.200.0.0/16 dev {nic} scope link",
          "10.201.0.0/16 via 203.0.113.1 table 77"]


def lbctl(*args, exit_code=0):
    done = subprocess.run([LBCTL, "port", *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == exit_code, f"lbctl port {args}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stderr if exit_code else done.stdout


def answer(*args):
    return json.loads(lbctl(*args, "--json"))


def host_problems():
    """What keeps a port by the NIC's address from being one, in the words of config check --host."""
    file = Path("/run/lbd-check.yaml")
    file.write_text(f'version: 1\ndaemon: {{dpdk: {{workers: [0], huge-pages: off, ports: [{{name: wan, device: "{WAN}"}}]}}}}\npools: {{}}\nservices: {{}}\n')
    done = subprocess.run([LBCTL, "config", "check", "--host", "--json", file], capture_output=True, text=True, timeout=60)
    told = json.loads(done.stdout)
    assert told["host"]["judged"] and done.returncode == (1 if told["problems"] else 0), done.stdout + done.stderr
    return [problem["message"] for problem in told["problems"]]


def there(name):
    return Path("/sys/class/net", name).exists()


def furniture(name):
    """What an interface has, as `ip` tells it, without its name, index and state."""
    link = json.loads(run("ip", "-j", "link", "show", "dev", name))[0]
    addresses = sorted(line.split(None, 2)[2].split("valid_lft")[0].replace(name, "NIC").replace("tentative", "")
                       for line in run("ip", "-o", "address", "show", "dev", name, "scope", "global").splitlines())
    addresses = [" ".join(a.replace("nodad", "").replace("\\", "").split()) for a in addresses]
    routes = sorted(" ".join(word for word in line.split() if word != "linkdown") for family in ("-4", "-6")
                    for line in run("ip", family, "route", "show", "dev", name, "table", "all").splitlines()
                    if not any(kind in line for kind in ("local ", "broadcast ", "multicast ", "anycast ", "fe80::")))
    return link["address"], link["mtu"], addresses, routes


@contextmanager
def kernel_nic(world):
    """The wan NIC with the kernel's driver, furnished; on vfio-pci again afterwards, as the other tests want it."""
    world.stop()
    for twin in ("lbd-wan", "lbd-lan"):
        if there(twin):
            run("ip", "link", "delete", twin)
    run("modprobe", "-a", "tun", "8021q")
    bind(WAN, "virtio-pci")
    nic = interface_of(WAN)
    ip([f"link set dev {nic} mtu 1400 up", f"address add {network.LBD_WAN[0]}/24 dev {nic}", f"address add {network.LBD_WAN[1]}/64 dev {nic} nodad",
        f"address add 203.0.113.77/32 dev {nic} label {nic}:x"] + ["route add " + route.format(nic=nic) for route in ROUTES])
    try:
        reachable()
        yield nic
    finally:
        world.stop()
        subprocess.run([LBCTL, "port", "unbind", WAN], capture_output=True)
        if there("lbd-wan"):
            run("ip", "link", "delete", "lbd-wan")
        bind(WAN, "vfio-pci")


def reachable():
    for address in ("203.0.113.1", "2001:db8:a::1"):
        run("ping", "-c", "2", "-i", "0.2", "-W", "10", address)
    for address in network.LBD_WAN:
        run("ping", "-c", "2", "-i", "0.2", "-W", "10", address, ns="r")


def end_of_time():
    """The trial's time is over now, instead of in ten minutes."""
    record = json.loads(RECORD.read_text())
    record["confirm_by_ms"] = 0
    RECORD.with_suffix(".test").write_text(json.dumps(record))
    RECORD.with_suffix(".test").rename(RECORD)


def is_restored(nic, had):
    return driver_of(WAN) == "virtio-pci" and there(nic) and not there("lbd-wan") and furniture(nic) == had


def wait_restored(nic, had, seconds):
    try:
        wait_for("the NIC is the kernel's as it was", lambda: is_restored(nic, had), seconds)
    except AssertionError:
        log = RECORD.with_suffix(".log")
        print(had, furniture(nic) if there(nic) else "no interface", log.read_text() if log.exists() else "no log", sep="\n")
        raise
    reachable()


def test_a_nic_goes_to_its_port_with_all_it_had_and_comes_back(world):
    with kernel_nic(world) as nic:
        had = furniture(nic)
        assert host_problems() == [f"{WAN} is in use by the kernel (driver virtio-pci, interface {nic}); move it to vfio-pci: "
                                   f"lbctl port bind {WAN} (or share it with the kernel: device: {nic})"]
        dry = answer("bind", nic, "--name", "wan", "--dry-run")
        assert dry["changed"] and len(dry["steps"]) == 7 and furniture(nic) == had, dry
        bound = answer("bind", nic, "--name", "wan")
        assert bound["changed"] and bound["driver"] == "virtio-pci" and bound["interface"] == nic, bound
        assert driver_of(WAN) == "vfio-pci" and not there(nic)
        assert furniture("lbd-wan") == had, (furniture("lbd-wan"), had)
        assert not answer("bind", WAN)["changed"]
        listed = {n["pci"]: n for n in answer("list", "--all")["nics"]}[WAN]
        assert listed["port"] == "wan" and listed["interface"] == "lbd-wan" and listed["driver"] == "vfio-pci", listed
        # lbd takes the NIC, and the host is reached through it.
        assert host_problems() == []
        lbd = world.lbd()
        assert host_problems() == [], "what lbd has is its own"
        reachable()
        shown = json.loads(lbd.lbctl("--json", "port", "show", "wan"))
        assert shown["twin"] == "lbd-wan" and shown["device"] == WAN and shown["to_kernel"] > 0 and shown["from_kernel"] > 0, shown
        assert "in use by lbd" in lbctl("unbind", "wan", exit_code=1)
        world.stop()
        back = answer("unbind", "wan")
        assert back["changed"] and back["interface"] == nic, back
        # What the other tests gave the twin meanwhile came along.
        now = furniture(nic)
        assert driver_of(WAN) == "virtio-pci" and not there("lbd-wan") and now[0] == had[0] and set(had[3]) <= set(now[3]), (now, had)
        assert now[1] == had[1] and set(had[2]) <= set(now[2]), (now, had)
        reachable()
        assert not answer("unbind", WAN)["changed"]


def test_a_trial_is_undone_though_the_shell_died(world):
    with kernel_nic(world) as nic:
        had = furniture(nic)
        shell = subprocess.Popen(["bash", "-c", f"{LBCTL} port bind {nic} --name wan --try 10s; sleep 1000"], start_new_session=True,
                                 stdout=subprocess.PIPE, text=True)
        told = ""
        while "It goes back in 10 s" not in told:
            line = shell.stdout.readline()
            assert line, told
            told += line
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        wait_restored(nic, had, 60)


def test_a_trial_takes_the_nic_back_from_lbd(world):
    with kernel_nic(world) as nic:
        had = furniture(nic)
        answer("bind", nic, "--name", "wan", "--try", "10m")
        lbd = world.daemon = Daemon(FOLDER, network.configuration(FOLDER, PCI))
        lbd.start()
        reachable()
        end_of_time()
        wait_restored(nic, had, 60)
        assert lbd.process.wait(timeout=30) == 0, "it was asked to end"


def test_a_trial_that_is_confirmed_stays(world):
    with kernel_nic(world) as nic:
        answer("bind", nic, "--name", "wan", "--try", "10m")
        assert run("pgrep", "-x", "lbctl-trial"), "somebody waits"
        assert answer("confirm", "wan")["changed"]
        wait_for("nobody waits to undo it", lambda: not run("pgrep", "-x", "lbctl-trial", check=False))
        assert driver_of(WAN) == "vfio-pci" and there("lbd-wan")


def test_the_default_route_and_the_session_are_not_cut_unsaid(world):
    with kernel_nic(world) as nic:
        had = furniture(nic)
        run("ip", "route", "add", "default", "via", "203.0.113.1")
        assert "--force-default-route" in lbctl("bind", nic, "--name", "wan", exit_code=1)
        run("ip", "route", "del", "default")
        os.environ["SSH_CONNECTION"] = "198.51.100.10 40000 203.0.113.2 22"
        try:
            assert "--force-session" in lbctl("bind", nic, "--name", "wan", exit_code=1)
            run("ip", "link", "add", "link", nic, "name", "vlan10", "type", "vlan", "id", "10")
            assert "ip link delete vlan10" in lbctl("bind", nic, "--name", "wan", "--force-session", exit_code=1)
            run("ip", "link", "delete", "vlan10")
            assert furniture(nic) == had and driver_of(WAN) == "virtio-pci"
            assert answer("bind", nic, "--name", "wan", "--force-session")["changed"]
        finally:
            del os.environ["SSH_CONNECTION"]
