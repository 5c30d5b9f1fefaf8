"""A host changes its engine: what a killed lbd with engine xdp left in the kernel is out of the way of the one with engine dpdk."""

import subprocess

import pytest
from lab import LBCTL, LBD

NS = "lbd-engine"
# One mount namespace for all of it: programs outlive lbd by a file system that lbd mounts.
SCRIPT = r"""set -eu
mount -t tmpfs tmpfs "$DIR"
lbctl() { "$LBCTL" -s "$DIR/lbd.sock" "$@"; }
start() {
  sed "s/ENGINE/$1/" <"$CONFIG" >"$DIR/lbd.yaml"
  "$LBD" --config "$DIR/lbd.yaml" >"$DIR/log" 2>&1 & lbd=$!
  for _ in $(seq 1000); do lbctl stats >/dev/null 2>&1 && return; kill -0 $lbd || break; sleep 0.02; done
  cat "$DIR/log"; exit 1
}
programs() { ip -o link show dev "$1" | grep -c xdp || true; }
trap 'kill $lbd; wait $lbd' EXIT
start xdp
lbctl engine show | grep "^engine xdp"
[ "$(programs eth0)" = 1 ]
kill -9 $lbd; wait $lbd || true
[ "$(programs eth0)" = 1 ]
start dpdk
lbctl engine show | grep "^engine dpdk"
grep "taken off eth0: the engine is dpdk now" "$DIR/log"
[ "$(programs eth0)" = 0 ]
"""
CONFIG = """version: 1
daemon:
  engine: ENGINE
  socket: {dir}/lbd.sock
  state-dir: {dir}/state
  hash-key-file: {dir}/key
  flows: 4096
  dpdk: {{workers: [0], huge-pages: off, ports: [{{name: wan, device: "net_af_packet0,iface=eth0"}}]}}
  xdp: {{interfaces: [{{name: eth0, mode: generic}}]}}
"""


@pytest.fixture
def namespace(binaries):
    subprocess.run(["ip", "netns", "del", NS], capture_output=True)
    subprocess.run(["ip", "netns", "add", NS], check=True)
    for command in ("link set lo up", "link add eth0 type veth peer name peer0", "link set eth0 up", "link set peer0 up"):
        subprocess.run(["ip", "-n", NS, *command.split()], check=True)
    yield NS
    subprocess.run(["ip", "netns", "del", NS], check=True)


def test_the_programs_of_a_killed_lbd_do_not_stand_in_the_way_of_engine_dpdk(namespace, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    config = tmp_path / "lbd.yaml"
    config.write_text(CONFIG.format(dir=folder))
    done = subprocess.run(["nsenter", f"--net=/run/netns/{namespace}", "unshare", "--mount", "--propagation", "private", "bash", "-c", SCRIPT],
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LBD": str(LBD), "LBCTL": str(LBCTL), "DIR": str(folder), "CONFIG": str(config)},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-4000:]
