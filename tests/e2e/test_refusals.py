"""Bad input gets its sentence: which thing, which value, which rule, what to do. And nothing has changed afterwards."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from host import good_config
from lab import LBCTL

pytestmark = pytest.mark.engines("dpdk")
EACH = pytest.mark.engines("dpdk", "xdp-native")


def check(path):
    return subprocess.run([LBCTL, "config", "check", str(path)], capture_output=True, text=True)


# name -> (what to replace in the good document, by what, words that the sentence must have)
BAD = {
    "unknown key": ("pool: fe,", "pool: fe, scedule: maglev,", ["scedule", "schedule"]),
    "foreign word": ("pool: fe,", "pool: fe, balance: maglev,", ["balance", "schedule"]),
    "duplicate key": ("pool: fe,", "pool: fe, pool: fe,", ["pool", "duplicate"]),
    "duplicate service": ("services:\n", "services:\n  web: {listen: ['192.0.2.11:80/tcp'], pool: fe}\n", ["web", "duplicate"]),
    "overlapping listener": ("services:\n", "services:\n  other: {listen: ['192.0.2.10:80/tcp'], pool: fe}\n", ["192.0.2.10:80/tcp", "other", "web"]),
    "overlapping ranges": ('["192.0.2.10:80/tcp"]', '["192.0.2.10:80-90/tcp", "192.0.2.10:85-99/tcp"]', ["192.0.2.10:80-90/tcp", "192.0.2.10:85-99/tcp"]),
    "weight out of range": ("weight: 50", "weight: 1001", ["1001", "1000"]),
    "negative weight": ("weight: 50", "weight: -1", ["-1", "weight"]),
    "slotless backend": ("weight: 50", "weight: 1", ["b2", "slot"]),
    "table too small": ("pool: fe,", "pool: fe, table-size: 13,", ["13", "251"]),
    "table not prime": ("pool: fe,", "pool: fe, table-size: 65536,", ["65536", "prime"]),
    "port on ipip": ("weight: 50", "port: 8080", ["port", "nat"]),
    "later key": ("pool: fe,", "pool: fe, sticky: off,", ["sticky", "not in this version"]),
    "later section": ("pools:\n", "checks: {}\npools:\n", ["checks", "not in this version"]),
    "later mode": ("forward: ipip", "forward: gue", ["gue", "not in this version"]),
    "unknown pool": ("pool: fe,", "pool: fee,", ["fee", "fe"]),
    "bad name": ("name: b2", "name: B2", ["B2"]),
    "bad address": ("10.9.0.12", "10.9.0.312", ["10.9.0.312"]),
    "not yaml": ("pools:", "pools: [", []),
}


@pytest.mark.parametrize("name", BAD)
def test_config_check_names_file_line_value_and_rule(tmp_path, binaries, name):
    old, new, words = BAD[name]
    text = good_config(tmp_path, "eth0")
    if name == "slotless backend":
        text = text.replace("name: b1, address: 10.9.0.11", "name: b1, address: 10.9.0.11, weight: 1000").replace("pool: fe,", "pool: fe, table-size: 251,")
    assert old in text
    bad = tmp_path / "bad.yaml"
    bad.write_text(text.replace(old, new))
    done = check(bad)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "bad.yaml:" in said
    for word in words:
        assert word in said, f"'{word}' is not in: {said}"


def test_config_check_needs_no_root_daemon_or_nic(tmp_path, binaries):
    text = good_config(tmp_path, "nosuch0")
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"]
    # The checkout may be closed to others: copied to where everybody may read.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        lbctl, good = Path(folder) / "lbctl", Path(folder) / "good.yaml"
        shutil.copy(LBCTL, lbctl)
        good.write_text(text)
        done = subprocess.run([*nobody, lbctl, "config", "check", good], capture_output=True, text=True)
        judged = subprocess.run([*nobody, lbctl, "config", "check", "--host", good], capture_output=True, text=True)
        good.write_text(good_config(tmp_path, "lo"))
        fit = subprocess.run([*nobody, lbctl, "config", "check", "--host", good], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert judged.returncode == 1 and "'nosuch0' is no network interface here" in judged.stdout, judged.stdout + judged.stderr
    assert fit.returncode == 0 and fit.stdout.endswith("this host has what it needs\n"), fit.stdout + fit.stderr


@EACH
def test_no_such_device(host):
    said = host.refused(host.config("nosuch0"))
    assert "nosuch0" in said and "no" in said.lower()


def test_pci_address_of_nothing(host):
    said = host.refused(host.config('"0000:3b:00.0"'))
    assert "there is no PCI device 0000:3b:00.0 here" in said and "lspci" in said


@EACH
def test_device_busy_names_it(host):
    first = host.start(host.config())
    host.ready(first)
    other = host.dir / "other"
    (other / "state").mkdir(parents=True)
    second = other / "lbd.yaml"
    second.write_text(good_config(other, "up0", host.engine))
    said = host.refused(second)
    assert "up0" in said and ("busy" in said or "already" in said), said
    assert host.lbctl("stats").returncode == 0, "the first one still works"


# name -> (ip commands, what to replace in the good document, the path of the problem, words of it)
UNFIT = {
    "no such interface": ([], {"up0": "nosuch0"}, "ports[0].device", ["nosuch0"]),
    "no such PCI device": ([], {"device: up0": 'device: "0000:ff:1f.7"'}, "ports[0].device", ["0000:ff:1f.7", "lspci -D"]),
    "down": (["link set up0 down"], {}, "ports[0].device", ["ip link set dev up0 up"]),
    "MTU": ([], {"device: up0": "device: up0, mtu: 9000"}, "ports[0].mtu", ["ip link set dev up0 mtu 9000"]),
    "core": ([], {"workers: [0]": "workers: [900]"}, "workers[0]", ["core 900 is not on this machine"]),
    "huge pages": ([], {"huge-pages: off": "huge-pages: on"}, "huge-pages", ["sysctl -w vm.nr_hugepages="]),
    "XDP": (["link set dev up0 xdpgeneric obj {dir}/pass.o sec xdp"], {}, "ports[0].device", ["another XDP program is attached (pass, id ", "xdp off"]),
}


def host_check(host, config):
    done = subprocess.run(["ip", "netns", "exec", host.ns, LBCTL, "config", "check", "--host", "--json", config], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("name", UNFIT)
def test_config_check_judges_the_host_in_the_words_of_a_start(host, name):
    commands, replace, path, words = UNFIT[name]
    if name == "huge pages" and int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text()) > 0:
        pytest.skip("there are huge pages here")
    if name == "XDP":
        source = '__attribute__((section("xdp"))) int pass(void* frame) { return 2; }\nchar _license[] __attribute__((section("license"))) = "GPL";\n'
        subprocess.run(["clang", "-target", "bpf", "-O2", "-g", "-x", "c", "-c", "-", "-o", host.dir / "pass.o"], input=source, text=True, check=True)
    config = host.config(**replace)
    assert all(new in config.read_text() for new in replace.values())
    for command in commands:
        subprocess.run(["ip", "-n", host.ns, *command.format(dir=host.dir).split()], check=True)
    code, told = host_check(host, config)
    assert code == 1 and told["host"]["judged"], told
    problem = told["problems"][0]
    assert problem["path"] == f"daemon.dpdk.{path}" and problem["line"] > 1, problem
    for word in words:
        assert word in problem["message"], problem
    assert problem["message"] in host.refused(config), "what a start says"


def test_config_check_does_not_disturb_an_lbd_that_runs(host):
    config = host.config()
    code, told = host_check(host, config)
    assert (code, told["problems"], told["host"]["notes"]) == (0, [], []), told
    process = host.start(config)
    host.ready(process)
    code, told = host_check(host, config)
    assert (code, told["problems"]) == (0, []), told
    assert ["up0 is a port of an lbd that runs: one lbd can have it"] == [note["message"] for note in told["host"]["notes"]]
    assert process.poll() is None and host.lbctl("stats").returncode == 0


@EACH
def test_no_permission(host):
    os.chmod(host.dir, 0o777)
    config = host.config()
    os.chmod(config, 0o644)
    said = host.refused(config, prefix=("setpriv", "--bounding-set", "-all", "--inh-caps", "-all"))
    assert "permi" in said.lower() or "root" in said or "CAP_" in said, said


def test_daemon_not_running(host):
    done = host.lbctl("service", "list")
    assert done.returncode == 3
    assert "lbd.sock" in done.stderr and done.stdout == ""


@EACH
def test_socket_of_a_live_daemon_and_stale_socket(host):
    first = host.start(host.config())
    host.ready(first)
    said = host.refused(host.dir / "lbd.yaml")
    assert "lbd.sock" in said and str(first.pid) in said, said
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (host.dir / "lbd.sock").exists(), "a killed daemon leaves its socket: stale"
    done = host.lbctl("stats")
    assert done.returncode == 3 and "lbd.sock" in done.stderr
    host.ready(host.start(host.dir / "lbd.yaml"))


def test_socket_path_taken_by_something_else(host):
    (host.dir / "lbd.sock").write_text("not a socket")
    said = host.refused(host.config())
    assert "lbd.sock" in said and (host.dir / "lbd.sock").read_text() == "not a socket", said


def test_truncated_state_is_set_aside_and_said(host):
    first = host.start(host.config())
    host.ready(first)
    assert host.lbctl("backend", "set", "fe/b2", "--weight", "70").returncode == 0
    first.terminate()
    assert first.wait(timeout=20) == 0
    state = next(p for p in (host.dir / "state").iterdir() if p.name.startswith("state"))
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    host.ready(host.start(host.dir / "lbd.yaml"))
    aside = [p for p in (host.dir / "state").iterdir() if "damaged" in p.name]
    assert len(aside) == 1 and aside[0].read_bytes() == whole[: len(whole) // 2]
    assert "damaged" in (host.dir / "log").read_text()
    assert "damaged" in host.lbctl().stdout, "the summary says it"


def test_state_wins_over_the_file_and_the_difference_is_called_drift(host):
    first = host.start(host.config())
    host.ready(first)
    assert host.lbctl("backend", "set", "fe/b2", "--weight", "70").returncode == 0
    first.terminate()
    assert first.wait(timeout=20) == 0
    host.ready(host.start(host.dir / "lbd.yaml"))
    assert json.loads(host.lbctl("--json", "backend", "show", "fe/b2").stdout)["weight"] == 70
    assert "drift" in host.lbctl().stdout.splitlines()[0]


def test_full_disk_refuses_the_change_and_keeps_the_state(host):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", host.dir / "state"], check=True)
    try:
        first = host.start(host.config())
        host.ready(first)
        before = host.lbctl("--json", "backend", "show", "fe/b2").stdout
        with open(host.dir / "state" / "filler", "wb", buffering=0) as filler:
            with pytest.raises(OSError):
                while True:
                    filler.write(b"x" * 4096)
        done = host.lbctl("backend", "set", "fe/b2", "--weight", "71")
        assert done.returncode == 1 and "space" in done.stderr.lower(), done.stderr
        assert host.lbctl("--json", "backend", "show", "fe/b2").stdout == before
        (host.dir / "state" / "filler").unlink()
        assert host.lbctl("backend", "set", "fe/b2", "--weight", "71").returncode == 0
        first.terminate()
        first.wait(timeout=20)
    finally:
        subprocess.run(["umount", host.dir / "state"], check=True)


def test_removed_services_need_their_number(host):
    process = host.start(host.config())
    host.ready(process)
    less = host.dir / "less.yaml"
    less.write_text("version: 1\npools: {}\nservices: {}\n")
    done = host.lbctl("config", "apply", less)
    assert done.returncode == 1 and "--remove 1" in done.stderr, done.stderr
    done = host.lbctl("config", "apply", less, "--remove", "2")
    assert done.returncode == 1
    assert json.loads(host.lbctl("--json", "service", "list").stdout)["services"] != []
    assert host.lbctl("config", "apply", less, "--remove", "1").returncode == 0
    assert json.loads(host.lbctl("--json", "service", "list").stdout)["services"] == []


def test_garbage_on_the_socket_gets_its_sentence_and_harms_nobody(host):
    host.ready(host.start(host.config()))
    for garbage in (b"hello\n", b"{}\n", b'{"jsonrpc":"2.0","id":1,"method":"nosuch"}\n', b"\xff\xfe\n", b"[1,2,3]\n"):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(host.dir / "lbd.sock"))
            s.sendall(garbage)
            answer = json.loads(s.makefile().readline())
            assert answer["error"]["message"] and answer["error"]["code"] in (-32700, -32600, -32601)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(host.dir / "lbd.sock"))
        try:
            for _ in range(64):
                s.sendall(b"x" * 65536)
        except OSError:
            pass  # closed in the middle of it: what it should do
    assert host.lbctl("stats").returncode == 0


@pytest.mark.parametrize("args,code,words", [
    (["service", "show", "nosuch"], 1, ["nosuch", "web"]),
    (["backend", "set", "fe/b9", "--weight", "5"], 1, ["fe/b9"]),
    (["backend", "set", "fe/*", "--weight", "5"], 1, ["fe/b1", "fe/b2", "--all"]),
    (["backend", "set", "fe/b1", "--weight", "2000"], 1, ["2000", "1000"]),
    (["pool", "remove", "fe"], 1, ["fe", "web"]),
    (["service", "add", "web", "--listen", "192.0.2.11:80/tcp", "--pool", "fe"], 1, ["web"]),
    (["service", "add", "x", "--listen", "192.0.2.10:80/tcp", "--pool", "fe"], 1, ["192.0.2.10:80/tcp", "web"]),
    (["--expect-revision", "77", "backend", "set", "fe/b1", "--weight", "9"], 1, ["77"]),
    (["backend", "maintenance", "fe/b1"], 2, ["not in this version"]),
    (["nosuch"], 2, ["nosuch"]),
    (["backend", "set", "fe/b1", "--weight", "much"], 2, ["much"]),
])
def test_lbctl_refuses_with_a_sentence(host, args, code, words):
    host.ready(host.start(host.config()))
    before = host.lbctl("config", "show").stdout
    done = host.lbctl(*args)
    assert done.returncode == code, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr, f"'{word}' is not in: {done.stderr}"
    assert host.lbctl("config", "show").stdout == before
