r"""The network of the tests, all in one guest: lbd in the root namespace with its two NICs, the rest in namespaces.

    c --- r --- wan-far === wan  lbd  lan === lan-far --- br0 of r --- b1 b2 b3
             \- aux-far === aux                           |
                                                            d (the kernel's IPVS, one leg)

r routes the clients to the VIPs by way of lbd, or of d; backends answer by way of r, not of either.
"""


from guest import AUX, FAR, PCI, bind, interface_of, ip, run, sysctl

BACKENDS = {"b1": 100, "b2": 100, "b3": 50}  # and their weights
CLIENT = ("198.51.100.10", "2001:db8:c1::10")
LBD_WAN = ("203.0.113.2", "2001:db8:a::2")
LBD_AUX = ("203.0.115.2", "2001:db8:ab::2")
LBD_LAN = ("10.1.0.2", "2001:db8:b::2")
DIRECTOR = ("10.1.0.3", "2001:db8:b::3")


def backend_address(name, family):
    n = int(name[1:])
    return f"10.1.0.{10 + n}" if family == 4 else f"2001:db8:b::1{n}"


# service -> VIPs of IPv4 and IPv6, pool family, forward mode: ipip meets every pair of families.
SERVICES = {
    "dsr": (["192.0.2.10"], 4, "dsr"),
    "dsr6": (["2001:db8:0:1::10"], 6, "dsr"),
    "tun": (["192.0.2.20", "2001:db8:0:1::20"], 4, "ipip"),
    "tun6": (["192.0.2.21", "2001:db8:0:1::21"], 6, "ipip"),
}
VIPS = [vip for vips, _, _ in SERVICES.values() for vip in vips]
TUNNELLED = [vip for vips, _, mode in SERVICES.values() if mode == "ipip" for vip in vips]
IPVS_VIPS = ["192.0.2.30", "2001:db8:0:1::30"]
# Through a second lbd, in namespace x, on interfaces of the kernel.
X_SERVICES = {
    "xdsr": (["192.0.2.40"], 4, "dsr"),
    "xtun": (["192.0.2.41", "2001:db8:0:1::41"], 4, "ipip"),
    "xtun6": (["192.0.2.42", "2001:db8:0:1::42"], 6, "ipip"),
}
X_VIPS = [vip for vips, _, _ in X_SERVICES.values() for vip in vips]
X_TUNNELLED = [vip for vips, _, mode in X_SERVICES.values() if mode == "ipip" for vip in vips]
X_WAN = ("203.0.114.2", "2001:db8:aa::2")
X_LAN = ("10.1.0.4", "2001:db8:b::4")
# How a backend's kernel undoes ipip: name -> rest of `ip link add`. 4 in 4, 6 in 4, both in 6.
DECAP = {
    "d44": "type ipip local {v4} remote any",
    "d64": "type sit mode ip6ip local {v4} remote any",
    "dx6": "type ip6tnl mode any local {v6} remote any",
}
MODULES = ["virtio_net", "vfio-pci", "tun", "veth", "bridge", "ipip", "sit", "ip6_tunnel", "ip_vs", "ip_vs_mh"]


def is6(address):
    return ":" in address


def build():
    """All of it; lbd's own NICs go to vfio-pci."""
    run("modprobe", "-a", *MODULES)
    hosts = ["c", "r", "d", *BACKENDS]
    ip([f"netns add {host}" for host in hosts])
    for host in hosts:
        _settings(host)
    _settings(None)
    for pci in (*PCI.values(), AUX):
        bind(pci, "vfio-pci")
    links = [f"link set dev {interface_of(pci)} netns r name {name}" for name, pci in FAR.items()]
    links += ["link add eth0 netns c type veth peer name c netns r"]
    links += [f"link add eth0 mtu 1600 netns {host} type veth peer name {host} mtu 1600 netns r" for host in ("d", *BACKENDS)]
    ip(links)
    _router()
    _host("c", CLIENT, ("198.51.100.1", "2001:db8:c1::1"), [24, 64])
    _host("d", DIRECTOR, ("10.1.0.1", "2001:db8:b::1"), [24, 64])
    for host in BACKENDS:
        _host(host, (backend_address(host, 4), backend_address(host, 6)), ("10.1.0.1", "2001:db8:b::1"), [24, 64])
        addresses = {"v4": backend_address(host, 4), "v6": backend_address(host, 6)}
        ip([f"address add {vip} dev lo {'nodad' if is6(vip) else ''}" for vip in VIPS + IPVS_VIPS + X_VIPS] +
           [f"link add {name} {how.format(**addresses)}" for name, how in DECAP.items()], host)
    decapsulation(True)


def build_x():
    """Namespace x, between r and the backends like lbd itself, by veths of two queues."""
    ip(["netns add x"])
    _settings("x")
    queues = "numrxqueues 2 numtxqueues 2"
    ip([f"link add {name} mtu 1600 {queues} netns x type veth peer name x{name} mtu 1600 {queues} netns r" for name in ("wan", "lan")])
    for ns, prefix in (("x", ""), ("r", "x")):
        for name in ("wan", "lan"):
            # A veth leaves TCP checksums to hardware that is not there; the datapath would pass them on undone.
            run("ethtool", "-K", prefix + name, "tx", "off", "tso", "off", "gso", "off", "gro", "off", ns=ns)
    ip(["link set dev xlan master br0 up", "link set dev xwan up", "address add 203.0.114.1/24 dev xwan", "address add 2001:db8:aa::1/64 dev xwan nodad"] +
       [f"route add {vip} via {X_WAN[is6(vip)]}" for vip in X_VIPS], "r")
    ip(["link set lo up", "link set dev wan up", "link set dev lan up"] +
       [f"address add {a}/{64 if is6(a) else 24} dev {name} {'nodad' if is6(a) else ''}" for name, both in (("wan", X_WAN), ("lan", X_LAN)) for a in both] +
       [f"route add default via {gateway}" for gateway in ("203.0.114.1", "2001:db8:aa::1")], "x")


def larger_x(mtu):
    """Both links of x, at both ends."""
    for ns, prefix in (("x", ""), ("r", "x")):
        ip([f"link set dev {prefix}{name} mtu {mtu}" for name in ("wan", "lan")], ns)


def decapsulation(on):
    """The kernel's, at every backend."""
    for host in BACKENDS:
        ip([f"link set dev {name} {'up' if on else 'down'}" for name in DECAP], host)


def _settings(host):
    settings = ["net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=0",
                "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0"]
    if host in ("r", "d"):
        settings += ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
    if host in BACKENDS:
        # A VIP on lo must not be answered for by ARP on the LAN: it belongs to lbd there.
        settings += [f"net.ipv4.conf.{which}.{rule}" for which in ("all", "default") for rule in ("arp_ignore=1", "arp_announce=2")]
    if host == "c":
        settings += ["net.ipv4.ip_local_port_range=1024 65535"]
    sysctl(settings, host)


def _host(host, addresses, gateways, lengths):
    ip(["link set lo up", "link set eth0 up"] +
       [f"address add {a}/{n} dev eth0 {'nodad' if is6(a) else ''}" for a, n in zip(addresses, lengths)] +
       [f"route add default via {g}" for g in gateways], host)


def _router():
    lines = ["link set lo up", "link add br0 mtu 1600 type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
    lines += [f"link set dev {port} master br0 up" for port in ("lan", "d", *BACKENDS)]
    lines += [f"link set dev {port} up" for port in ("br0", "wan", "aux", "c")]
    for device, v4, v6 in (("c", "198.51.100.1", "2001:db8:c1::1"), ("wan", "203.0.113.1", "2001:db8:a::1"),
                           ("aux", "203.0.115.1", "2001:db8:ab::1"), ("br0", "10.1.0.1", "2001:db8:b::1")):
        lines += [f"address add {v4}/24 dev {device}", f"address add {v6}/64 dev {device} nodad"]
    lines += [f"route add {vip} via {DIRECTOR[is6(vip)]}" for vip in IPVS_VIPS]
    ip(lines, "r")


def twin_addresses(wan=LBD_WAN):
    """lbd's own addresses and routes, on the interfaces through which the kernel speaks for its ports; r sends the VIPs there."""
    lines = [f"address replace {a}/{64 if is6(a) else 24} dev {device} {'nodad' if is6(a) else ''}"
             for device, both in (("lbd-wan", wan), ("lbd-lan", LBD_LAN)) for a in both]
    lines += [f"route replace default via {a[:-1]}1" for a in wan]
    ip(lines)
    ip([f"route replace {vip} via {wan[is6(vip)]}" for vip in VIPS], "r")


def dpdk_lines(devices, huge_pages, mtu):
    """Of `daemon`: two workers."""
    ports = "\n".join(f'      - {{name: {name}, device: "{device}", mtu: {mtu or (1500 if name == "wan" else 1600)}}}'
                      for name, device in devices.items())
    return f"""  engine: dpdk
  dpdk:
    workers: [0, 1]
    huge-pages: {huge_pages}
    idle: sleep
    ports:
{ports}"""


def xdp_lines(devices):
    return "  engine: xdp\n  xdp:\n    interfaces:\n" + "\n".join(f"      - {{name: {name}, mode: {mode}}}" for name, mode in devices.items())


def configuration(folder, devices, services=None, huge_pages="on", mtu=None, engine="dpdk"):
    """lbd's, for ports wan and lan on these devices; with engine xdp interfaces of these modes."""
    daemon = dpdk_lines(devices, huge_pages, mtu) if engine == "dpdk" else xdp_lines(devices)
    pools = "\n".join(f"  fe{family}:\n    backends:\n" + "\n".join(
        f'      - {{name: {b}, address: "{backend_address(b, family)}", weight: {w}}}' for b, w in BACKENDS.items()) for family in (4, 6))
    texts = "\n".join("  %s: {listen: [%s], pool: fe%d, forward: %s}" % (
        name, ", ".join(f'"{f"[{v}]" if is6(v) else v}:{port}/tcp"' for v in vips for port in (80, 9000)), family, mode)
        for name, (vips, family, mode) in (services or SERVICES).items())
    return f"""version: 1
daemon:
  socket: {folder}/lbd.sock
  state-dir: {folder}/state
  hash-key-file: {folder}/hash-key
  flows: 65536
{daemon}
pools:
{pools}
services:
{texts}
"""


def forget_neighbours(host):
    run("ip", "-n", host, "neigh", "flush", "all")
