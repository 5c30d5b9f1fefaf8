"""Routing daemons of the distribution inside the lab: BIRD on a node and on the router, FRR on a node. Ours to start, ours to stop."""

import ipaddress
import json
import shutil
import subprocess
from pathlib import Path

from lab import wait_for

ROUTER_AS, NODE_AS = 65000, 65001
# node -> interface of r and both ends' addresses, by family.
LINKS = {
    "lbd": {4: ("203.0.113.1", "203.0.113.2"), 6: ("2001:db8:a::1", "2001:db8:a::2")},
    "lbd2": {4: ("10.2.0.1", "10.2.0.2"), 6: ("2001:db8:d::1", "2001:db8:d::2")},
}

SESSION = """
protocol bgp {name} {{
  local {local} as {local_as};
  neighbor {remote} as {remote_as};
  connect delay time 1; connect retry time 1; error wait time 1, 2; startup hold time 10;
  ipv{family} {{ import {imports}; export {exports}; }};
}}
"""

# What docs/announce.md shows; the tests there are these.
NODE = """
router id {id};
protocol device {{ scan time 2; }}
protocol kernel lbd4 {{ learn; ipv4 {{ import where krt_source = 201; export none; }}; }}
protocol kernel lbd6 {{ learn; ipv6 {{ import where krt_source = 201; export none; }}; }}
"""

ROUTER = """
router id 198.51.100.1;
protocol device { scan time 2; }
protocol kernel k4 { merge paths yes; ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel k6 { merge paths yes; ipv6 { import none; export where source = RTS_BGP; }; }
"""


class Process:
    """One daemon in a namespace of the lab; close() ends it."""

    def __init__(self, lab, host, *command):
        self.log = open(lab.dir / f"{host}-{command[0].rpartition('/')[2]}.log", "w", encoding="utf-8")
        self.process = lab.popen(host, *command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Bird(Process):
    def __init__(self, lab, host, text):
        config = lab.dir / f"bird-{host}.conf"
        config.write_text(text)
        super().__init__(lab, host, "bird", "-f", "-c", config, "-s", lab.dir / f"bird-{host}.ctl", "-P", lab.dir / f"bird-{host}.pid")


def bird_of_node(lab):
    links = LINKS[lab.node]
    text = NODE.format(id=links[4][1])
    for family, (router, node) in links.items():
        text += SESSION.format(name=f"r{family}", local=node, local_as=NODE_AS, remote=router, remote_as=ROUTER_AS, family=family,
                               imports="none", exports="where source = RTS_INHERIT")
    return Bird(lab, lab.node, text)


def bird_of_router(lab):
    text = ROUTER
    for name, links in LINKS.items():
        for family, (router, node) in links.items():
            text += SESSION.format(name=f"{name}_{family}", local=router, local_as=ROUTER_AS, remote=node, remote_as=NODE_AS, family=family,
                                   imports="all", exports="none")
    return Bird(lab, "r", text)


FRR_NODE = """
hostname {name}
log stdout
ip prefix-list vips seq 10 permit 192.0.2.0/24 ge 32
ipv6 prefix-list vips seq 10 permit 2001:db8:0:1::/64 ge 128
route-map vips4 permit 10
 match ip address prefix-list vips
route-map vips6 permit 10
 match ipv6 address prefix-list vips
router bgp {node_as}
 bgp router-id {id}
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 timers bgp 3 9
 neighbor {r4} remote-as {router_as}
 neighbor {r4} timers connect 1
 neighbor {r6} remote-as {router_as}
 neighbor {r6} timers connect 1
 address-family ipv4 unicast
  redistribute kernel route-map vips4
  neighbor {r4} activate
 exit-address-family
 address-family ipv6 unicast
  redistribute kernel route-map vips6
  neighbor {r6} activate
 exit-address-family
"""


class Frr:
    """zebra and bgpd."""

    def __init__(self, lab):
        links = LINKS[lab.node]
        folder = lab.dir / "frr"
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, "frr", "frr")  # as whom the daemons run, with some of root's capabilities
        config = folder / "frr.conf"
        config.write_text(FRR_NODE.format(name=lab.node, node_as=NODE_AS, router_as=ROUTER_AS, id=links[4][1], r4=links[4][0], r6=links[6][0]))
        self.processes = []
        for daemon in ("zebra", "bgpd"):
            self.processes.append(Process(lab, lab.node, f"/usr/lib/frr/{daemon}", "-f", config, "-i", folder / f"{daemon}.pid", "-z", folder / "zserv.api",
                                          "--vty_socket", folder, "-P", 0))
            if daemon == "zebra":
                wait_for("zebra listens", (folder / "zserv.api").exists)

    def log(self):
        return "\n".join(Path(process.log.name).read_text() for process in self.processes)[-4000:]

    def close(self):
        for process in reversed(self.processes):
            process.close()


def ways(lab):
    """What the router has: VIP -> names of the nodes that it sends to."""
    nodes = {ends[1]: name for name, links in LINKS.items() for ends in links.values()}
    table = {}
    for family in ("-4", "-6"):
        for route in json.loads(lab.run("r", "ip", "-j", family, "route", "show", "proto", "bird").stdout or "[]"):
            hops = route.get("nexthops", [route])
            name = str(ipaddress.ip_address(route["dst"]))
            table.setdefault(name, set()).update(nodes[hop["gateway"]] for hop in hops)
    return table


KEEPALIVED_NODE = """
global_defs {{
  router_id {name}
  script_user root
  enable_script_security
  vrrp_garp_master_refresh 5
}}
vrrp_script announced {{
  script "{script}"
  interval 1
  fall 1
  rise 1
}}
vrrp_instance vips {{
  state BACKUP
  interface lan
  virtual_router_id 20
  priority {priority}
  advert_int 0.2
  unicast_src_ip {own}
  unicast_peer {{ {peer} }}
  virtual_ipaddress {{ {vip}/32 dev lan }}
  track_script {{ announced }}
}}
"""
LAN = {"lbd": "10.1.0.2", "lbd2": "10.1.0.3"}


class Keepalived(Process):
    """VRRP on the nodes' common segment: the node has the VIP as long as lbd announces it there."""

    def __init__(self, lab, vip, priority):
        folder = lab.dir / "vrrp"
        folder.mkdir(exist_ok=True)
        script = folder / "announced"
        script.write_text(f'#!/bin/sh\ntest -n "$(ip route show {vip}/32 proto 201)"\n')
        script.chmod(0o755)
        config = folder / "keepalived.conf"
        peer = next(address for name, address in LAN.items() if name != lab.node)
        config.write_text(KEEPALIVED_NODE.format(name=lab.node, script=script, priority=priority, own=LAN[lab.node], peer=peer, vip=vip))
        super().__init__(lab, lab.node, "keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", config, "-p", folder / "pid", "-r", folder / "vrrp.pid")
