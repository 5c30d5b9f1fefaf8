"""Frames in, and the frames that must come out for them: Scapy's layers, and lbd's promises as functions over them."""

import ipaddress
import logging

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Dot1Q, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

from facts import HASH_KEY, LAN, ROUTER, SELF4, SELF6, WAN  # noqa: E402
from siphash import siphash13  # noqa: E402


def pattern(size, start=0):
    """Bytes of which every piece tells where it belongs."""
    return b"".join((start + i).to_bytes(2, "big") for i in range((size + 1) // 2))[:size]


class Clients:
    """A source for each case that is answered: answers have a limit by source (IPv6: by /64), and cases share an engine."""

    def __init__(self):
        self.used = 0

    def next(self, family):
        self.used += 1
        if family == 4:
            return f"198.51.{100 + self.used // 250}.{1 + self.used % 250}"
        return f"2001:db8:c:{self.used:x}::7"


CLIENTS = Clients()


def packet(mode_or_family, src, dst, **fields):
    """An IP header. IPv4: DF, id 0, as RFC 6864 wants atomic datagrams to be."""
    family = getattr(mode_or_family, "family", mode_or_family)
    if family == 4:
        fields = {"id": 0, "flags": "DF", "ttl": 64, **fields}
        return IP(src=src, dst=dst, **fields)
    if "ttl" in fields:
        fields["hlim"] = fields.pop("ttl")
    if "tos" in fields:
        fields["tc"] = fields.pop("tos")
    return IPv6(src=src, dst=dst, **{"hlim": 64, **fields})


def built(ip):
    """The same with lengths and checksums filled in, as Scapy reads it back: its fields are those on the wire."""
    return type(ip)(bytes(ip))


def arrives(ip, tags=(), padding=b""):
    frame = Ether(dst=WAN, src=ROUTER)
    for kind, vlan in tags:
        frame.type = kind
        frame = frame / Dot1Q(vlan=vlan)
    return tagged(frame, ip, tags) + padding


def tagged(frame, ip, tags):
    """Types from the outside in: a tag's type names what is behind it."""
    types = [kind for kind, _ in tags] + [0x86DD if isinstance(ip, IPv6) else 0x0800]
    frame = Ether(dst=frame.dst, src=frame.src, type=types[0])
    for i, (_, vlan) in enumerate(tags):
        frame = frame / Dot1Q(vlan=vlan, type=types[i + 1])
    return bytes(frame) + bytes(ip)


def one_hop_less(ip):
    """RFC 1812 section 5.3.1, RFC 8200 section 3. Bytes, so that nothing of the rest is built anew."""
    raw = bytearray(bytes(ip))
    if raw[0] >> 4 == 6:
        raw[7] -= 1
        return bytes(raw)
    header = IP(bytes(raw[:(raw[0] & 15) * 4]))
    header.ttl -= 1
    del header.chksum
    return bytes(header) + bytes(raw[len(bytes(header)):])


def flow_hash(src, dst, sport, dport, proto):
    words = [ipaddress.ip_address(a).packed for a in (src, dst)]
    return siphash13(HASH_KEY, b"".join(words) + sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + bytes([proto]))


def label_of(flow):
    """RFC 6438: of the flow, never 0."""
    return flow_hash(*flow) & 0xFFFFF or 1


def encapsulated(mode, inner, flow):
    """RFC 2003, RFC 2473; DSCP copied (RFC 2983, uniform model), ECN by RFC 6040 (normal mode: copied); an outer IPv4 datagram is
    atomic (RFC 6864): DF, id 0."""
    raw = bytes(inner)
    is_v6 = raw[0] >> 4 == 6
    tos = (raw[0] << 4 & 0xF0 | raw[1] >> 4) if is_v6 else raw[1]
    proto = 41 if is_v6 else 4
    if mode.overhead == 20:
        return bytes(IP(src=SELF4, dst=mode.outer, tos=tos, ttl=64, id=0, flags="DF", proto=proto) / Raw(raw))
    return bytes(IPv6(src=SELF6, dst=mode.outer, tc=tos, hlim=64, fl=label_of(flow), nh=proto) / Raw(raw))


def leaves(mode, ip, flow):
    """The frame towards the backend, for an IP packet whose hop is taken already."""
    raw = bytes(ip)
    if mode.outer is not None:
        raw = encapsulated(mode, raw, flow)
    kind = 0x86DD if raw[0] >> 4 == 6 else 0x0800
    if mode.vlan:
        return bytes(Ether(dst=mode.mac, src=LAN, type=0x8100) / Dot1Q(prio=0, id=0, vlan=mode.vlan, type=kind)) + raw
    return bytes(Ether(dst=mode.mac, src=LAN, type=kind)) + raw


def flow_of(ip):
    """Of a packet as the client sent it."""
    l4 = ip[TCP] if TCP in ip else ip[UDP]
    return (ip.src, ip.dst, l4.sport, l4.dport, 6 if TCP in ip else 17)


__all__ = ["CLIENTS", "ICMP", "IP", "IPv6", "Raw", "TCP", "UDP", "arrives", "built", "encapsulated", "flow_hash", "flow_of", "leaves",
           "one_hop_less", "packet", "pattern", "tagged"]
