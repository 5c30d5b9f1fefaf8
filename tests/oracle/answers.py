"""What lbd says itself: RFC 792, RFC 1122, RFC 1191, RFC 1812, RFC 4443, RFC 8200, RFC 9293."""

from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6PacketTooBig, ICMPv6TimeExceeded

from facts import ERROR_TOS, ROUTER, WAN, WAN4, WAN6
from frames import ICMP, IP, TCP, IPv6, Raw, packet, tagged
from scapy.layers.l2 import Ether


def back(ip, tags=()):
    """Out of the port it came in by, to the frame's source, behind the same tags."""
    return tagged(Ether(dst=ROUTER, src=WAN), ip, tags)


def error(about, source, icmp4, icmp6, tags=()):
    """As much of the packet as fits: 576 bytes in all (RFC 1812 section 4.3.2.3), 1,280 (RFC 4443 section 2.4 (c))."""
    raw = bytes(about)
    if raw[0] >> 4 == 4:
        quote = raw[:576 - 28]
        return back(packet(4, source, about.src, tos=ERROR_TOS) / icmp4 / Raw(quote), tags)
    quote = raw[:1280 - 48]
    return back(packet(6, source, about.src, tos=ERROR_TOS) / icmp6 / Raw(quote), tags)


def port_of(about):
    return WAN6 if isinstance(about, IPv6) else WAN4


def time_exceeded(about, tags=()):
    return error(about, port_of(about), ICMP(type=11, code=0), ICMPv6TimeExceeded(code=0), tags)


def port_unreachable(about, tags=()):
    return error(about, about.dst, ICMP(type=3, code=3), ICMPv6DestUnreach(code=4), tags)


def too_big(about, mtu, tags=()):
    return error(about, port_of(about), ICMP(type=3, code=4, nexthopmtu=mtu), ICMPv6PacketTooBig(mtu=mtu), tags)


def echo_reply(request, payload, ident, seq, tags=()):
    """The request's bytes; its DSCP (RFC 1349 section 5.1), its id and DF."""
    if isinstance(request, IP):
        header = packet(4, request.dst, request.src, tos=request.tos, id=request.id, flags=int(request.flags) & 2)
        return back(header / ICMP(type=0, id=ident, seq=seq) / Raw(payload), tags)
    return back(packet(6, request.dst, request.src, tos=request.tc) / ICMPv6EchoReply(id=ident, seq=seq, data=payload), tags)


def reset(segment, data_bytes, tags=()):
    """RFC 9293 section 3.10.7.1, of a port that is closed."""
    tcp = segment[TCP]
    tos = segment.tc if isinstance(segment, IPv6) else segment.tos
    header = packet(6 if isinstance(segment, IPv6) else 4, segment.dst, segment.src, tos=tos & 0xFC)
    if "A" in tcp.flags:
        rst = TCP(sport=tcp.dport, dport=tcp.sport, flags="R", seq=tcp.ack, ack=0, window=0)
    else:
        length = data_bytes + ("S" in tcp.flags) + ("F" in tcp.flags)
        rst = TCP(sport=tcp.dport, dport=tcp.sport, flags="RA", seq=0, ack=(tcp.seq + length) % 2**32, window=0)
    return back(header / rst, tags)
