"""lbctl decap on a server without lbd: real TCP through every kind of tunnel, and controls that must fail.

    dcp-client c0 --- lc dcp-lb ls --- s0 dcp-server (VIPs on lo)
                        |-- encapsulate.py takes frames to the VIPs; replies are routed straight
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lab import LBCTL, wait_for

HERE = Path(__file__).parent
VIPS = ["192.0.2.10", "2001:db8::10"]
OUTER = {4: ("10.0.0.1", "10.0.0.11"), 6: ("2001:db8:1::1", "2001:db8:1::11")}
FROM = ["--from", "10.0.0.1/32", "--from", "2001:db8:1::1/128"]
VIP = [word for vip in VIPS for word in ("--vip", vip)]

NET = """
set -e
for ns in client lb server; do ip netns add dcp-$ns; ip -n dcp-$ns link set lo up; done
ip link add c0 netns dcp-client type veth peer name lc netns dcp-lb
ip link add ls netns dcp-lb mtu 1600 type veth peer name s0 netns dcp-server mtu 1600
address() { ip -n dcp-$1 link set $2 up; ip -n dcp-$1 addr add $3 dev $2; ip -n dcp-$1 addr add $4 dev $2 nodad; }
address client c0 198.51.100.2/24 2001:db8:c::2/64
address lb lc 198.51.100.1/24 2001:db8:c::1/64
address lb ls 10.0.0.1/24 2001:db8:1::1/64
address server s0 10.0.0.11/24 2001:db8:1::11/64
for f in -4 -6; do
  if [ $f = -4 ]; then client=198.51.100.1 server=10.0.0.1; else client=2001:db8:c::1 server=2001:db8:1::1; fi
  ip $f -n dcp-client route add default via $client
  ip $f -n dcp-server route add default via $server
done
for vip in 192.0.2.10/32 2001:db8::10/128; do
  ip -n dcp-lb route add blackhole $vip
  ip -n dcp-server addr add $vip dev lo
done
ip netns exec dcp-lb sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip netns exec dcp-server sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.s0.rp_filter=0
ip netns exec dcp-client ethtool -K c0 tx off tso off gso off >/dev/null
ip netns exec dcp-lb ethtool -K lc gro off >/dev/null
"""

# Answers each connection with what it read, until the client shuts down its side.
SERVER = """
import socket, threading
def serve(s):
    with s:
        while data := s.recv(65536): s.sendall(data)
listener = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
print("ready", flush=True)
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

# Sends BYTES to VIP and reads them back; prints the MSS that the connection uses. Exit 3: no connection.
CLIENT = """
import os, socket, sys, threading
vip, size, deadline = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
try: s = socket.create_connection((vip, 80), timeout=deadline)
except TimeoutError: sys.exit(3)
s.settimeout(30)
sent = os.urandom(size)
def send():
    s.sendall(sent)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
got = b"".join(iter(lambda: s.recv(65536), b""))
assert got == sent, f"{len(got)} of {size} bytes came back, or other ones"
print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
"""


def inside(ns, *command):
    return ["ip", "netns", "exec", f"dcp-{ns}", *map(str, command)]


def run(ns, *command, check=True):
    done = subprocess.run(inside(ns, *command), capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def start(ns, *command):
    process = subprocess.Popen(inside(ns, *command), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def stop(process):
    process.kill()
    process.wait()
    process.stdout.close()


def remove_namespaces():
    for ns in ("client", "lb", "server"):
        subprocess.run(["ip", "netns", "del", f"dcp-{ns}"], capture_output=True)


@pytest.fixture(scope="module")
def network():
    assert LBCTL.exists(), f"{LBCTL} is not built: run scripts/build"
    remove_namespaces()
    server = None
    try:
        subprocess.run(["bash", "-c", NET], check=True, capture_output=True, text=True)
        server = start("server", sys.executable, "-c", SERVER)
        yield
    finally:
        if server:
            stop(server)
        remove_namespaces()


@pytest.fixture(autouse=True)
def nothing_attached(network):
    yield
    decap("detach", "s0")


def decap(*args, exit_code=0, ns="server"):
    done = run(ns, LBCTL, "decap", *args, check=False)
    assert done.returncode == exit_code, f"decap {args}: exit {done.returncode}, not {exit_code}\n{done.stdout}{done.stderr}"
    return done.stdout if exit_code == 0 else done.stderr


def decap_json(*args):
    return json.loads(run("server", LBCTL, "--json", "decap", *args).stdout)


def counters():
    return {c["name"]: c["value"] for c in decap_json("show", "s0")["counters"] if c["value"]}


def mac(ns, dev):
    return json.loads(run(ns, "ip", "-j", "link", "show", "dev", dev).stdout)[0]["address"]


@pytest.fixture
def encapsulate(network):
    started = []

    def begin(tunnel, outer, source=None):
        own, peer = OUTER[outer]
        started.append(start("lb", sys.executable, HERE / "encapsulate.py", "lc", "ls", mac("lb", "ls"), mac("server", "s0"),
                             tunnel, source or own, peer, *VIPS))

    yield begin
    for process in started:
        stop(process)


def connect(vip, size=1_000_000, deadline=20):
    """The MSS of a connection that carried its bytes there and back, or None when there was no connection."""
    done = run("client", sys.executable, "-c", CLIENT, vip, size, deadline, check=False)
    assert done.returncode in (0, 3), done.stderr
    return int(done.stdout) if done.returncode == 0 else None


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("tunnel", ["ipip", "gue0", "gue1"])
def test_tcp_goes_through_every_tunnel(encapsulate, tunnel, outer):
    decap("attach", "s0", *FROM, *VIP)
    encapsulate(tunnel, outer)
    before = counters()
    for vip in VIPS:
        assert connect(vip), f"no connection to {vip}"
    after = counters()
    name = "decapsulated_ipip" if tunnel == "ipip" else "decapsulated_gue"
    assert after[name] - before.get(name, 0) > 1000, "a million bytes each way are at least that many packets"
    assert set(after) == {name, "decapsulated_bytes"}, "nothing was dropped"


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("tunnel", ["ipip", "gue0"])
def test_control_without_decapsulation_there_is_no_connection(encapsulate, tunnel, outer):
    encapsulate(tunnel, outer)
    for vip in VIPS:
        assert connect(vip, deadline=2) is None


@pytest.mark.parametrize("outer, source", [(4, "10.0.0.2"), (6, "2001:db8:1::2")])
def test_other_sources_are_dropped_and_counted(encapsulate, outer, source):
    decap("attach", "s0", *FROM, *VIP)
    encapsulate("ipip", outer, source)
    assert connect(VIPS[0], deadline=2) is None
    assert set(counters()) == {"source_not_allowed"}
    decap("attach", "s0", "--from", source, *VIP)  # and it was nothing else that kept it out
    assert connect(VIPS[0])


def test_what_is_no_vip_is_dropped_and_counted(encapsulate):
    decap("attach", "s0", *FROM, "--vip", VIPS[1])
    encapsulate("ipip", 4)
    assert connect(VIPS[0], deadline=2) is None
    assert set(counters()) == {"inner_not_vip"}


@pytest.mark.parametrize("vip, plain", [(VIPS[0], 1460), (VIPS[1], 1440)])
def test_the_clamp_lowers_what_clients_send(encapsulate, vip, plain):
    encapsulate("gue0", 6)
    decap("attach", "s0", *FROM, *VIP)
    timestamps = 12  # bytes of options in every segment
    assert connect(vip) == plain - timestamps
    decap("attach", "s0", *FROM, *VIP, "--mss", "1300")
    assert connect(vip) == 1300 - timestamps
    assert counters()["mss_clamped"] >= 1


def test_connections_live_through_a_change_of_settings(encapsulate):
    decap("attach", "s0", *FROM, *VIP)
    encapsulate("ipip", 4)
    client = subprocess.Popen(inside("client", sys.executable, "-c", CLIENT, VIPS[0], 4_000_000, 20), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    wait_for("the connection is under way", lambda: counters().get("decapsulated_ipip", 0) > 50)
    for mss in (1400, 1300, 1200):
        assert decap_json("attach", "s0", *FROM, *VIP, "--mss", str(mss))["replaced"]
    _, err = client.communicate(timeout=60)
    assert client.returncode == 0, err
    assert set(counters()) <= {"decapsulated_ipip", "decapsulated_bytes", "mss_clamped"}


def test_text_and_json_tell_the_same():
    assert "attached" in decap("attach", "s0", *FROM, *VIP, "--mss", "1400")
    again = decap_json("attach", "s0", *FROM, *VIP, "--mss", "1400")
    assert again["changed"] is False
    shown = decap_json("show", "s0")
    assert shown["from"] == ["10.0.0.1/32", "2001:db8:1::1/128"]
    assert shown["to"] == ["10.0.0.11", "2001:db8:1::11"]
    assert shown["vips"] == VIPS and shown["mss"] == 1400
    text = decap("show", "s0")
    for word in (*shown["from"], *shown["to"], *VIPS, "1400", *(c["name"] for c in shown["counters"])):
        assert word in text
    assert decap_json("detach", "s0")["changed"] is True
    assert decap_json("detach", "s0")["changed"] is False


@pytest.mark.parametrize("args, exit_code, words", [
    (["attach", "s0", *VIP], 2, "--from PREFIX"),
    (["attach", "s0", *FROM], 2, "--vip ADDRESS"),
    (["attach", "s0", "--from", "10.0.0.1/33", *VIP], 2, "--from: "),
    (["attach", "s0", "--from", "10.0.0.1/8", *VIP], 2, "10.0.0.1/8"),
    (["attach", "s0", *FROM, "--vip", "web"], 2, "--vip: "),
    (["attach", "s0", *FROM, *VIP, "--to", "10.0.0"], 2, "--to: "),
    (["attach", "s0", *FROM, *VIP, "--mss", "70000"], 2, "--mss"),
    (["attach", "s0", *FROM, *VIP, "--mss", "100"], 1, "below 536"),
    (["attach", "s0", *FROM, *VIP, "--to", VIPS[0]], 1, "both --vip and --to"),
    (["attach", *FROM, *VIP], 2, "INTERFACE"),
    (["attach", "nosuch0", *FROM, *VIP], 1, "nosuch0"),
    (["attach", "lo", *FROM, *VIP], 1, "no Ethernet interface"),
    (["show", "s0"], 1, "lbctl decap attach s0"),
    (["show", "nosuch0"], 1, "nosuch0"),
    (["detach", "nosuch0"], 1, "nosuch0"),
])
def test_bad_input_gets_its_sentence(network, args, exit_code, words):
    assert words in decap(*args, exit_code=exit_code)


def test_a_foreign_filter_in_our_place_is_refused_with_the_mending_command(network):
    decap("attach", "s0", *FROM, *VIP)
    decap("detach", "s0")  # the hooks stay
    run("server", "tc", "filter", "add", "dev", "s0", "ingress", "pref", "1", "bpf", "bytecode", "1,6 0 0 0,")
    said = decap("attach", "s0", *FROM, *VIP, exit_code=1)
    mend = "tc filter del dev s0 ingress pref 1"
    assert mend in said
    run("server", *mend.split())
    decap("attach", "s0", *FROM, *VIP)


def test_without_root_it_says_so(network):
    said = run("server", "setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set", "-all", LBCTL, "decap", "attach", "s0",
               *FROM, *VIP, check=False)
    assert said.returncode == 1 and "root" in said.stderr, said.stderr
