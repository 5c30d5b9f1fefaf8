"""Who may do what at the socket of a real lbd: users by setpriv, so that the kernel tells lbd who asks."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from host import Host
from lab import LBCTL, wait_for

pytestmark = pytest.mark.engines("dpdk")
ACCESS = 'access: {operator: [root, "%4100"], viewer: ["%4200", 4007]}'
# name -> uid, gid, supplementary groups
VIEWER, OPERATOR, STRANGER = (4001, 5000, (7, 4200)), (4002, 5000, (4100,)), (4003, 5000, (8, 9))


class SharedHost(Host):
    """An lbd with operators and viewers, in a folder that everybody may enter."""

    def __init__(self, engine, folder):
        super().__init__(engine, folder, "access")
        self.dir.chmod(0o755)
        shutil.copy(LBCTL, self.dir / "lbctl")
        self.process = self.start(self.config(**{"  flows: 4096": f"  flows: 4096\n  {ACCESS}"}))
        self.ready(self.process)

    def as_user(self, who, *words, **more):
        uid, gid, groups = who
        others = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
        become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", others, "--inh-caps=-all"]
        return subprocess.run([*become, self.dir / "lbctl", "-s", self.dir / "lbd.sock", *words], capture_output=True, text=True, timeout=60, **more)

    def state(self):
        told = json.loads(self.lbctl("--json").stdout)
        digest = json.loads(self.lbctl("--json", "table", "digest").stdout)
        return told["revision"], told["generation"], told["drained"], digest

    def audit(self):
        path = self.dir / "state" / "audit.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def shared(binaries, engine):
    folder = Path(tempfile.mkdtemp(prefix="lbd-access-", dir="/tmp"))
    it = SharedHost(engine, folder)
    yield it
    it.stop()
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def unharmed(shared):
    yield
    assert shared.process.poll() is None, (shared.dir / "log").read_text()
    assert shared.lbctl("stats").returncode == 0


READS = ["", "service list", "service show web", "pool list", "pool show fe", "backend list", "backend show fe/b1", "config show", "flow list", "flow count",
         "explain tcp 198.51.100.7:40000 192.0.2.10:80", "table digest", "stats", "stats services", "stats backends", "stats workers", "stats ports",
         "stats flows", "stats drops", "engine show", "port list", "port show a"]
CHANGES = ["service add new --listen 192.0.2.11:80/tcp --pool fe", "service set web --schedule source-hash", "service remove web", "pool add new",
           "pool remove fe", "backend add fe/b3 10.9.0.13", "backend set fe/b1 --weight 7", "backend remove fe/b1", "backend drain fe/b1",
           "backend ready fe/b1", "flow flush --all", "config apply {file} --remove 1"]


def test_a_viewer_reads_all_and_changes_nothing(shared):
    for command in READS:
        done = shared.as_user(VIEWER, *command.split())
        assert done.returncode == 0, f"{command}: {done.stderr}"
    empty = shared.dir / "empty.yaml"
    empty.write_text("version: 1\n")
    before, audited = shared.state(), len(shared.audit())
    for command in CHANGES:
        done = shared.as_user(VIEWER, *command.format(file=empty).split())
        assert done.returncode == 1, f"{command}: {done.stdout}{done.stderr}"
        assert "needs the role operator, but uid 4001 is a viewer here: daemon.access gives operator to %4100, root" in done.stderr, done.stderr
    assert shared.state() == before
    lines = shared.audit()[audited:]
    assert lines and all((line["uid"], line["role"], line["result"], line["code"]) == (4001, "viewer", "refused", "permission") for line in lines)
    assert len(lines) == 10, "of one user, ten a minute are told"
    assert "event=refused " in (shared.dir / "log").read_text()


def test_a_viewer_may_ask_what_a_change_would_do(shared):
    before = shared.state()
    done = shared.as_user(VIEWER, "backend", "set", "fe/b1", "--weight", "7", "--dry-run")
    assert done.returncode == 0, done.stderr
    document = shared.dir / "big.yaml"
    document.write_text((shared.dir / "lbd.yaml").read_text() + "# more than travels in a line\n" * 10000)
    assert shared.as_user(VIEWER, "config", "diff", document).returncode == 0
    assert shared.state() == before


def test_an_operator_by_group_is_one(shared):
    revision = shared.state()[0]
    done = shared.as_user(OPERATOR, "backend", "set", "fe/b1", "--weight", "90", "--reason", "3 a.m.")
    assert done.returncode == 0, done.stderr
    line = shared.audit()[-1]
    assert (line["uid"], line["role"], line["method"], line["reason"], line["result"]) == (4002, "operator", "backend.set", "3 a.m.", "done")
    assert line["revision"] == revision + 1 == shared.state()[0]


def test_a_stranger_is_refused_with_a_sentence(shared):
    done = shared.as_user(STRANGER)
    assert done.returncode == 1
    assert "lbd's socket needs the role viewer, but uid 4003 has no role here" in done.stderr, done.stderr
    line = shared.audit()[-1]
    assert (line["uid"], line["method"], line["code"]) == (4003, "connect", "permission")


def test_the_login_behind_sudo_is_in_the_audit_log(shared):
    def login():
        Path("/proc/self/loginuid").write_text("4009")

    try:
        done = subprocess.run([LBCTL, "-s", shared.dir / "lbd.sock", "backend", "drain", "fe/b1"], preexec_fn=login, capture_output=True, text=True)
    except subprocess.SubprocessError:
        pytest.skip("this kernel keeps no login uid")
    assert done.returncode == 0, done.stderr
    line = shared.audit()[-1]
    assert (line["uid"], line["user"], line["login_uid"]) == (0, "root", 4009)
    assert shared.lbctl("backend", "ready", "fe/b1").returncode == 0


def test_the_audit_log_is_roots_and_follows_logrotate(shared):
    path = shared.dir / "state" / "audit.log"
    assert path.stat().st_mode & 0o7777 == 0o600
    path.rename(path.with_name("audit.log.1"))
    assert shared.lbctl("backend", "drain", "fe/b1").returncode == 0
    assert shared.lbctl("backend", "ready", "fe/b1").returncode == 0
    assert [line["method"] for line in shared.audit()] == ["backend.drain", "backend.ready"]


def test_a_full_disk_keeps_nobody_from_draining(shared):
    path = shared.dir / "state" / "audit.log"
    path.rename(path.with_name("audit.log.2"))
    path.symlink_to("/dev/full")  # nor is it followed
    drained = shared.lbctl("backend", "drain", "fe/b1")
    told = shared.lbctl()
    path.unlink()
    assert drained.returncode == 0, drained.stderr
    assert "audit log: cannot open" in told.stdout and "changes go on" in told.stdout, told.stdout
    assert "event=audit_not_written" in (shared.dir / "log").read_text()
    assert shared.lbctl("backend", "ready", "fe/b1").returncode == 0
    assert shared.audit()[0]["lost"] == 1 and "audit log" not in shared.lbctl().stdout


def memory_of(process):
    return int(next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmRSS")).split()[1])


def connect(shared):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(60)
    client.connect(str(shared.dir / "lbd.sock"))
    return client


def test_a_gigabyte_of_garbage_does_no_harm(shared):
    before = memory_of(shared.process)
    for piece in (b"A" * (1 << 20), b"{}]" * (1 << 18), b"\0" * (1 << 20), b"[" * (1 << 20)):
        sent = 0
        while sent < 1 << 28:  # of each kind: a connection is closed after a megabyte or two
            client = connect(shared)
            try:
                while True:
                    sent += client.send(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = json.loads(client.makefile().readline())
            assert answer["error"]["data"]["code"] == "invalid" and "1 MiB" in answer["error"]["message"], answer
            client.close()
    assert memory_of(shared.process) < before + 64 * 1024, "KiB"


def test_a_viewer_with_all_his_connections_locks_nobody_out(shared):
    """Twenty that send a byte a second, of which none is ever answered: another viewer and an operator are."""
    slow = ("import socket, sys, time\n"
            "clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]\n"
            "for c in clients: c.connect(sys.argv[1])\n"
            "print('connected', flush=True)\n"
            "while True:\n"
            "  for c in clients:\n"
            "    try: c.send(b'x')\n"
            "    except OSError: pass\n"
            "  time.sleep(1)\n")
    uid, gid, groups = VIEWER
    become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", f"--groups={','.join(map(str, groups))}"]
    attacker = subprocess.Popen([*become, "/usr/bin/python3", "-c", slow, shared.dir / "lbd.sock"], stdout=subprocess.PIPE, text=True)
    try:
        assert attacker.stdout.readline() == "connected\n"
        own = wait_for("his places are taken", lambda: shared.as_user(VIEWER).returncode == 1 and shared.as_user(VIEWER))
        assert "uid 4001 has 16 connections already, as many as a viewer may" in own.stderr, own.stderr
        assert shared.as_user((4007, 5000, ())).returncode == 0
        assert shared.as_user(OPERATOR, "backend", "drain", "fe/b2").returncode == 0
        assert shared.lbctl("backend", "ready", "fe/b2").returncode == 0
    finally:
        attacker.kill()
        attacker.wait()
    wait_for("his places are free again", lambda: shared.as_user(VIEWER).returncode == 0)


def test_a_killed_lbctl_and_half_open_clients(shared):
    begin = time.monotonic()
    half = connect(shared)
    half.sendall(b'{"jsonrpc":"2.0","id":1,"method":"hello"}\n{"jsonrpc"')
    half.shutdown(socket.SHUT_WR)
    lines = half.makefile().read().splitlines()
    assert json.loads(lines[0])["result"]["role"] == "operator"
    assert "the last line has no end" in lines[1]
    for _ in range(200):
        gone = connect(shared)
        gone.sendall(b'{"jsonrpc":"2.0","id":1,"method":"summary"}\n')
        gone.close()
    for _ in range(20):
        killed = subprocess.Popen([LBCTL, "-s", shared.dir / "lbd.sock", "backend", "list"], stdout=subprocess.DEVNULL)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert shared.lbctl("stats").returncode == 0, f"after {time.monotonic() - begin:.1f} s"


def test_the_default_is_root_alone(host):
    os.chmod(host.dir, 0o755)
    process = host.start(host.config())
    host.ready(process)
    assert (host.dir / "lbd.sock").stat().st_mode & 0o777 == 0o600


def test_names_that_are_not_here_are_told(host, tmp_path):
    config = host.config("lo", **{"  flows: 4096": '  flows: 4096\n  access: {operator: [root, "%no-such-group"]}'})
    judged = subprocess.run([LBCTL, "--json", "config", "check", "--host", config], capture_output=True, text=True)
    notes = json.loads(judged.stdout)["host"]["notes"]
    assert judged.returncode == 0, judged.stdout
    assert [note for note in notes if "this host has no group no-such-group: nobody is operator by it" in note["message"] and note["line"] == 7], notes
