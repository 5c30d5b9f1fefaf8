"""Who is who around lbd, as the drawing in tests/conformance/world.cc has it, and what the product promises where RFCs leave a choice.

Nothing here or beside it reads lbd's sources: frames are Scapy's, expectations are docs/packet-path.md's and the RFCs'."""

from dataclasses import dataclass

ROUTER, WAN, LAN = "02:00:00:00:00:fe", "02:00:00:00:00:01", "02:00:00:00:00:02"
B11, B12, GATEWAY = "02:00:00:00:01:11", "02:00:00:00:01:12", "02:00:00:00:00:0a"
SELF4, SELF6 = "10.0.0.1", "2001:db8:1::1"  # outer sources
WAN4, WAN6 = "203.0.113.2", "2001:db8:a::2"  # of the port that all packets come in by: a router's errors are from there
LAN_PORT, WAN_PORT = 1, 0
# The key of the flow hash (docs/decisions/001-flow-hash.md): the test key of the SipHash paper.
HASH_KEY = bytes(range(16))


@dataclass(frozen=True)
class Mode:
    """How a service reaches its only backend. `outer`: the backend's address behind a tunnel, None for dsr."""
    name: str
    family: int
    vip: str
    service: str
    backend: str
    mac: str
    outer: str | None
    mtu: int = 1500
    vlan: int = 0  # that frames to the backend leave in; 0: untagged

    @property
    def overhead(self):
        return 0 if self.outer is None else 40 if ":" in self.outer else 20


MODES = [
    Mode("dsr v4", 4, "192.0.2.20", "direct4", "p4/b11", B11, None),
    Mode("dsr v6", 6, "2001:db8::20", "direct6", "p6/b12", B12, None),
    Mode("4 in 4", 4, "192.0.2.10", "web", "p4/b11", B11, "10.0.0.11"),
    Mode("6 in 4", 6, "2001:db8::10", "web", "p4/b11", B11, "10.0.0.11"),
    Mode("4 in 6", 4, "192.0.2.16", "web6", "p6/b12", B12, "2001:db8:1::12"),
    Mode("6 in 6", 6, "2001:db8::16", "web6", "p6/b12", B12, "2001:db8:1::12"),
]
# Behind a gateway whose link takes 1,400 bytes; TCP alone.
FAR = [
    Mode("far 4 in 4", 4, "192.0.2.25", "far", "far/b13", GATEWAY, "10.9.0.13", 1400),
    Mode("far 6 in 4", 6, "2001:db8::25", "far", "far/b13", GATEWAY, "10.9.0.13", 1400),
]
# The backend is in a VLAN, whatever VLAN the client's packets come in.
B16, B17 = "02:00:00:00:01:16", "02:00:00:00:01:17"
TAGGED = [
    Mode("dsr v4 in VLAN 30", 4, "192.0.2.82", "straight4", "v30/b16", B16, None, vlan=30),
    Mode("dsr v6 in VLAN 4094", 6, "2001:db8::82", "straight6", "v4094/b17", B17, None, vlan=4094),
    Mode("4 in 4 in VLAN 30", 4, "192.0.2.80", "lane", "v30/b16", B16, "10.0.3.16", vlan=30),
    Mode("6 in 4 in VLAN 30", 6, "2001:db8::80", "lane", "v30/b16", B16, "10.0.3.16", vlan=30),
    Mode("4 in 6 in VLAN 4094", 4, "192.0.2.81", "lane6", "v4094/b17", B17, "2001:db8:3::17", vlan=4094),
    Mode("6 in 6 in VLAN 4094", 6, "2001:db8::81", "lane6", "v4094/b17", B17, "2001:db8:3::17", vlan=4094),
]
MODES4 = [m for m in MODES if m.family == 4]
MODES6 = [m for m in MODES if m.family == 6]
HTTP, DNS = 80, 53  # TCP and UDP ports that all of MODES listen on

# Where docs/packet-path.md chooses: errors have precedence "internetwork control" (RFC 1812 section 4.3.2.5) in both families, what lbd
# makes lives 64 hops and is atomic (RFC 6864).
ERROR_TOS = 0xC0
# What no listener wants is rejected here: on-no-listener: reject.
REJECTING = {4: "192.0.2.70", 6: "2001:db8::70"}
# The same of others: punt; drop, though the kernel has the address.
PUNTING, SILENT = "192.0.2.71", "192.0.2.72"
