"""Every command block in README.md and docs/ is executed, as it stands there.

A block is ```sh (every line a command) or ```console (lines that begin with "$ "; the rest is what it printed then). All blocks of a page run
in order in one shell: root, in the checkout, in a namespace with the interfaces eth0 and eth1, with folders of its own for /etc/lbd, /run/lbd
and /var/lib/lbd. The page README.md brings its own configuration and starts lbd; for every other page lbd runs with README's configuration.
"""

import re
import subprocess

import pytest

from lab import BUILD, ROOT

# What another suite of scripts/test runs whole; here it would run itself.
ELSEWHERE = {
    "sudo scripts/setup": "fresh", "scripts/setup": "fresh", "scripts/build": "fresh", "sudo scripts/demo": "fresh",
    "sudo scripts/test": "the run that this is part of",
}
PAGES = sorted(p.relative_to(ROOT).as_posix() for p in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks(page, *kinds):
    return [(kind, body) for kind, body in FENCE.findall((ROOT / page).read_text()) if kind in kinds]


def commands(page):
    found = []
    for kind, body in blocks(page, "sh", "console"):
        lines = body.replace("\\\n", " ").splitlines()
        if kind == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found += [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return found


def is_elsewhere(command):
    bare = command.split(" #")[0].strip()
    return bare in ELSEWHERE or re.match(r"(sudo )?(LBD_\w+=\S+ )?scripts/(lab|demo|test|build|setup|fresh|bench|check-layers|vm)\b", bare)


def test_readme_has_the_two_commands():
    assert {"sudo scripts/demo", "sudo scripts/test"} <= set(commands("README.md"))


@pytest.mark.parametrize("page", [p for p in PAGES if any(is_elsewhere(c) for c in commands(p))])
def test_scripts_that_a_page_names_exist_and_know_their_options(page):
    for command in filter(is_elsewhere, commands(page)):
        words = [w for w in command.split(" #")[0].split() if w != "sudo" and "=" not in w]
        told = subprocess.run([ROOT / words[0], "--help"], capture_output=True, text=True, timeout=30)
        assert told.returncode == 0, command
        for word in words[1:]:
            if word.startswith("--"):
                assert word in told.stdout, f"{command}: {words[0]} --help does not know {word}"


PRELUDE = """set -euo pipefail
mount -t tmpfs tmpfs /run
mkdir -p /run/lbd /run/etc-lbd /run/var-lib-lbd /etc/lbd /var/lib/lbd
mount --bind /run/etc-lbd /etc/lbd
mount --bind /run/var-lib-lbd /var/lib/lbd
cp "$1" /etc/lbd/lbd.yaml
mkdir -p /run/work

sudo() { "$@"; }
lbctl() { "$BUILD/ctl/lbctl" "$@"; }
await() { for _ in $(seq 500); do lbctl stats >/dev/null 2>&1 && return; sleep 0.02; done; echo "lbd did not come up"; cat /run/lbd.log; exit 1; }
trap 'jobs -p | xargs -r kill; wait' EXIT
"""
# Not through a function: the job would be a shell, and lbd would outlive it.
START = '"$BUILD/dataplane/lbd" --config /etc/lbd/lbd.yaml >/run/lbd.log 2>&1 & await'


@pytest.fixture
def namespace(binaries):
    ns = "lbd-docs"
    subprocess.run(["ip", "netns", "del", ns], capture_output=True)
    subprocess.run(["ip", "netns", "add", ns], check=True)
    for command in (
        "link set lo up",
        "link add eth0 mtu 1600 numrxqueues 2 numtxqueues 2 type veth peer name peer0", "link set eth0 up", "link set peer0 up",
        "link add eth1 mtu 1600 numrxqueues 2 numtxqueues 2 type veth peer name peer1", "link set eth1 up", "link set peer1 up",
        "addr add 203.0.113.2/24 dev eth1", "addr add 198.51.100.2/24 dev eth0",
        "neigh add 203.0.113.11 lladdr 02:00:00:00:00:11 dev eth1 nud permanent",
        "neigh add 203.0.113.12 lladdr 02:00:00:00:00:12 dev eth1 nud permanent",
        "neigh add 203.0.113.13 lladdr 02:00:00:00:00:13 dev eth1 nud permanent",
    ):
        subprocess.run(["ip", "-n", ns, *command.split()], check=True)
    yield ns
    subprocess.run(["ip", "netns", "del", ns], check=True)


@pytest.mark.parametrize("page", [p for p in PAGES if any(not is_elsewhere(c) for c in commands(p))])
def test_the_commands_of_a_page_work(page, namespace, tmp_path):
    config = tmp_path / "lbd.yaml"
    config.write_text(blocks("README.md", "yaml")[0][1])
    script = [PRELUDE]
    if page != "README.md":
        script.append(START)
    for command in commands(page):
        if is_elsewhere(command):
            continue
        command = command.replace("build/ctl/lbctl", "lbctl").replace("build/dataplane/lbd", '"$BUILD/dataplane/lbd"')
        script.append(f"echo {subprocess.list2cmdline(['+ ' + command])!r}")
        if command.rstrip().endswith("&"):
            script.append(command.rstrip()[:-1].replace("sudo ", "") + " >/run/lbd.log 2>&1 & await")
        else:
            script.append(command)
    path = tmp_path / "page.sh"
    path.write_text("\n".join(script) + "\n")
    done = subprocess.run(["ip", "netns", "exec", namespace, "unshare", "--mount", "--propagation", "private", "bash", path, config], cwd=ROOT, text=True,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BUILD": str(BUILD), "HOME": "/root"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == 0, f"{page}:\n{done.stdout[-6000:]}"


# Every leaf command of lbctl --help, with arguments that make it do its work. Run in this order against one lbd.
LEAVES = {
    "service list": ["service", "list"],
    "service show": ["service", "show", "web"],
    "pool add": ["pool", "add", "two", "--backend", "x1=203.0.113.13"],
    "pool list": ["pool", "list"],
    "pool show": ["pool", "show", "two"],
    "service add": ["service", "add", "web2", "--listen", "192.0.2.11:80/tcp", "--pool", "two"],
    "service set": ["service", "set", "web2", "--schedule", "source-hash", "--announce", "on"],
    "service withdraw": ["service", "withdraw", "web2", "--expires", "1h"],
    "service announce": ["service", "announce", "web2"],
    "node drain": ["node", "drain", "--expires", "1h"],
    "node status": ["node", "status"],
    "node ready": ["node", "ready"],
    "backend add": ["backend", "add", "two/x2", "203.0.113.12", "--weight", "50"],
    "backend list": ["backend", "list"],
    "backend show": ["backend", "show", "two/x2"],
    "backend set": ["backend", "set", "two/x2", "--weight", "60"],
    "pool set": ["pool", "set", "two", "--backend", "x1=203.0.113.13", "--backend", "x2=203.0.113.12"],
    "backend drain": ["backend", "drain", "two/x2", "--expires", "1h", "--wait", "10s"],
    "backend wait": ["backend", "wait", "removable", "two/x2", "--wait", "10s"],
    "backend ready": ["backend", "ready", "two/x2"],
    "flow list": ["flow", "list", "--service", "web2"],
    "flow count": ["flow", "count", "--pinned"],
    "flow flush": ["flow", "flush", "--all"],
    "table digest": ["table", "digest"],
    "explain": ["explain", "tcp", "198.51.100.7:40000", "192.0.2.11:80"],
    "stats services": ["stats", "services"],
    "stats backends": ["stats", "backends"],
    "stats workers": ["stats", "workers"],
    "stats ports": ["stats", "ports"],
    "stats flows": ["stats", "flows"],
    "port list": ["port", "list", "--all"],
    "port show": ["port", "show", "wan"],
    "stats drops": ["stats", "drops"],
    "engine show": ["engine", "show"],
    "backend remove": ["backend", "remove", "two/x2"],
    "service remove": ["service", "remove", "web2"],
    "pool remove": ["pool", "remove", "two"],
    "service apply": ["service", "apply", "-f", "tests/golden/import/haproxy_two_servers.yaml"],
    "config schema": ["config", "schema"],
    "config import": ["config", "import", "nginx", "tests/golden/import/nginx_upstream.in"],
    "config check": ["config", "check", "/etc/lbd/lbd.yaml"],
    "config show": ["config", "show"],
    "config diff": ["config", "diff", "/etc/lbd/lbd.yaml"],
    "events": ["events", "--since", "1h"],
    "config history": ["config", "history", "--since", "1h"],
    "config blame": ["config", "blame", "two"],
    "config apply": ["config", "apply", "/etc/lbd/lbd.yaml", "--remove", "1", "--confirm-within", "5m"],
    "config confirm": ["config", "confirm"],
    "config rollback": ["config", "rollback"],
    "decap attach": ["decap", "attach", "eth0", "--from", "203.0.113.2/32", "--vip", "192.0.2.10"],
    "decap show": ["decap", "show", "eth0"],
    "decap detach": ["decap", "detach", "eth0"],
}


# They move a NIC, and there is none here: tests/vm/test_port_bind.py.
IN_THE_VM = {"port bind", "port confirm", "port unbind"}
# It needs an lbd that died: tests/e2e/test_life.py.
WITHOUT_LBD = {"engine detach"}


def help_leaves(lbctl, *path):
    told = subprocess.run([lbctl, *path, "--help"], capture_output=True, text=True)
    assert told.returncode == 0
    names, inside = [], False
    for line in told.stdout.splitlines():
        if re.match(r"^(sub)?commands:", line, re.I):
            inside = True
        elif inside and (m := re.match(r"^  ([a-z][a-z-]*)(\s|$)", line)):
            names.append(m.group(1))
        elif inside and line and not line.startswith(" "):
            inside = False
    if not names:
        return {" ".join(path)}
    return set().union(*(help_leaves(lbctl, *path, name) for name in names))


def test_every_command_of_lbctl_help_works_in_text_and_json(namespace, tmp_path):
    lbctl = BUILD / "ctl" / "lbctl"
    leaves = help_leaves(lbctl) - {"stats"} - IN_THE_VM - WITHOUT_LBD
    assert leaves == set(LEAVES), "commands without a run here, or runs without a command"
    config = tmp_path / "lbd.yaml"
    config.write_text(blocks("README.md", "yaml")[0][1])
    script = [PRELUDE, START, "lbctl >/dev/null", "lbctl --json | $PYTHON -m json.tool >/dev/null"]
    for name, words in LEAVES.items():
        line = subprocess.list2cmdline(words)
        changes = name.split()[-1] in ("add", "set", "remove", "apply", "attach", "detach", "drain", "ready", "flush", "rollback", "confirm", "withdraw", "announce")
        script.append(f"echo '+ {name}'; lbctl {'' if changes else '--json'} {line} >/run/out")
        if name == "events":  # a line each
            script.append("while read -r line; do $PYTHON -m json.tool <<<\"$line\" >/dev/null; done </run/out; [ -s /run/out ]")
        elif not changes and name != "config check":
            script.append("$PYTHON -m json.tool </run/out >/dev/null")
            script.append(f"lbctl {line} >/run/out; [ -s /run/out ]")
    path = tmp_path / "leaves.sh"
    path.write_text("\n".join(script) + "\n")
    done = subprocess.run(["ip", "netns", "exec", namespace, "unshare", "--mount", "--propagation", "private", "bash", path, config], cwd=ROOT, text=True,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BUILD": str(BUILD), "HOME": "/root", "PYTHON": "/usr/bin/python3"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == 0, done.stdout[-6000:]


def test_generated_pages_are_as_the_code_says():
    done = subprocess.run([ROOT / "scripts" / "gen-docs", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
