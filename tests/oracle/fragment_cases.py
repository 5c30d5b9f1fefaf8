"""Fragments follow their first one (RFC 791, RFC 5722, RFC 8200 section 4.5), and IPv4 packets without DF are cut (RFC 791 section 3.2)."""

import itertools

from scapy.layers.inet import IPOption_NOP, IPOption_RR, IPOption_Security
from scapy.layers.inet6 import IPv6ExtHdrFragment

from answers import time_exceeded
from case import Cases, answered, dropped, forwarded, held, sent
from facts import DNS, FAR, HTTP, MODES, MODES4, MODES6, TAGGED
from frames import CLIENTS, IP, TCP, UDP, Raw, arrives, built, leaves, one_hop_less, packet, pattern

IDS = itertools.count(1000)  # cases share an engine, which remembers datagrams for a while


class Datagram:
    """A UDP datagram of a client's, and any cut of it."""

    def __init__(self, mode, size=2000, sport=40500, **fields):
        self.mode, self.id, self.fields = mode, next(IDS), fields
        self.src = CLIENTS.next(mode.family)
        self.flow = (self.src, mode.vip, sport, DNS, 17)
        whole = built(packet(mode, self.src, mode.vip) / UDP(sport=sport, dport=DNS) / Raw(pattern(size)))
        self.bytes = bytes(whole.payload)

    def cut(self, start, end, more=None):
        """Bytes start..end of what is behind the IP header, multiples of 8 but for the last one."""
        more = end < len(self.bytes) if more is None else more
        piece = Raw(self.bytes[start:end])
        if self.mode.family == 4:
            return built(packet(self.mode, self.src, self.mode.vip, id=self.id, flags="MF" if more else 0, frag=start // 8, proto=17, **self.fields) / piece)
        header = IPv6ExtHdrFragment(nh=17, offset=start // 8, m=int(more), id=self.id)
        return built(packet(self.mode, self.src, self.mode.vip, **self.fields) / header / piece)

    def cuts(self, *at):
        """In order, cut at these places."""
        edges = [0, *at, len(self.bytes)]
        return [self.cut(a, b) for a, b in zip(edges, edges[1:])]

    def goes(self, ip, **more):
        return forwarded(self.mode, ip, self.flow, **more)


def in_order(cases):
    for mode in MODES:
        for name, at in {"two fragments": [1000], "three fragments": [8, 1008], "fragments of 8 bytes": [8, 16, 24, 32]}.items():
            d = Datagram(mode, 40 if at[0] == 8 and len(at) == 4 else 2000)
            cases.add(f"{mode.name}: {name}", *[(arrives(f), d.goes(f)) for f in d.cuts(*at)])
        d = Datagram(mode, tos=0xB9)
        cases.add(f"{mode.name}: fragments with DSCP and ECN, tagged", *[(arrives(f, tags=[(0x8100, 8)]), d.goes(f)) for f in d.cuts(800, 1600)])
        d = Datagram(mode, 1500)
        first, last = d.cuts(1400)
        cases.add(f"{mode.name}: a short last fragment in a padded frame", (arrives(first), d.goes(first)), (arrives(last, padding=bytes(9)), d.goes(last)))


def out_of_order(cases):
    for mode in MODES:
        d = Datagram(mode)
        a, b, c = d.cuts(800, 1600)
        cases.add(f"{mode.name}: the first fragment last", (arrives(b), held()), (arrives(c), held()),
                  (arrives(a), d.goes(a, released=[d.goes(b), d.goes(c)])))
        d = Datagram(mode)
        a, b, c = d.cuts(800, 1600)
        cases.add(f"{mode.name}: backwards", (arrives(c), held()), (arrives(b), held()), (arrives(a), d.goes(a, released=[d.goes(c), d.goes(b)])))
        d = Datagram(mode)
        a, b, c = d.cuts(800, 1600)
        cases.add(f"{mode.name}: the last fragment before the middle one", *[(arrives(f), d.goes(f)) for f in (a, c, b)])
        one, two = Datagram(mode, sport=40501), Datagram(mode, sport=40502)
        (a, b), (x, y) = one.cuts(1000), two.cuts(1000)
        cases.add(f"{mode.name}: two datagrams at once", (arrives(b), held()), (arrives(x), two.goes(x)), (arrives(a), one.goes(a, released=[one.goes(b)])),
                  (arrives(y), two.goes(y)))


def overlapping(cases):
    for mode in MODES:
        d = Datagram(mode)
        a, over, c = d.cut(0, 800), d.cut(792, 1600), d.cut(1600, 2008)
        cases.add(f"{mode.name}: overlapping by eight bytes", (arrives(a), d.goes(a)), (arrives(over), dropped("fragment_overlap")),
                  (arrives(c), dropped("fragment_overlap")))
        d = Datagram(mode)
        a, b = d.cuts(800)
        inside = d.cut(880, 960, True)
        cases.add(f"{mode.name}: one inside another", (arrives(a), d.goes(a)), (arrives(inside), d.goes(inside)), (arrives(b), dropped("fragment_overlap")))


def tiny(cases):
    for mode in MODES:
        ip = Datagram(mode)
        src = CLIENTS.next(mode.family)
        header = bytes(built(packet(mode, src, mode.vip) / TCP(sport=40510, dport=HTTP, flags="S")).payload)
        ip.src, ip.bytes = src, header + pattern(100)
        for size, what in ((8, "8 bytes of TCP"), (16, "16 bytes of TCP")):
            if mode.family == 4:
                first = packet(mode, src, mode.vip, id=next(IDS), flags="MF", proto=6) / Raw(header[:size])
            else:
                first = packet(mode, src, mode.vip) / IPv6ExtHdrFragment(nh=6, offset=0, m=1, id=next(IDS)) / Raw(header[:size])
            cases.add(f"{mode.name}: a first fragment with {what}", (arrives(first), dropped("fragment_tiny")))
    for mode in MODES4:
        odd = packet(mode, CLIENTS.next(4), mode.vip, id=next(IDS), flags="MF", frag=2, proto=17) / Raw(pattern(33))
        cases.add(f"{mode.name}: a middle fragment of 33 bytes", (arrives(odd), dropped("bad_ip_header")))
        beyond = packet(mode, CLIENTS.next(4), mode.vip, id=next(IDS), frag=8189, proto=17) / Raw(pattern(40))
        cases.add(f"{mode.name}: a fragment beyond 65,535 bytes", (arrives(beyond), dropped("bad_ip_header")))


def last_hops(cases):
    for mode in MODES:
        d = Datagram(mode, ttl=1)
        a, b = d.cuts(1000)
        cases.add(f"{mode.name}: the last hop of fragments, told of the first", (arrives(a), answered(time_exceeded(a))), (arrives(b), dropped("ttl_expired")))


COPIED = {IPOption_Security: 11}


def pieces(mode, ip, flow):
    """RFC 791 section 3.2: as much in each as fits, in multiples of 8; options in later ones when their copied flag says so."""
    room = mode.mtu - mode.overhead
    raw = bytes(ip)
    size = (raw[0] & 15) * 4
    header, data = IP(raw[:size]), raw[size:]
    header.ttl -= 1
    out, at, offset, more = [], 0, header.frag, "MF" in header.flags
    while at < len(data):
        piece = header.copy()
        if at > 0:
            piece.options = [o for o in header.options if o.copy_flag and o.option]
        for computed in ("ihl", "len", "chksum"):
            delattr(piece, computed)
        length = len(bytes(piece))
        take = min(len(data) - at, (room - length) // 8 * 8)
        if len(data) - at <= room - length:
            take = len(data) - at
        piece.frag = offset + at // 8
        piece.flags = "MF" if more or at + take < len(data) else 0
        out.append(leaves(mode, bytes(IP(bytes(piece / Raw(data[at:at + take])))), flow))
        at += take
    return out


def cut_by_us(cases):
    for mode in MODES4 + [m for m in TAGGED if m.family == 4] + FAR[:1]:
        fits = mode.mtu - mode.overhead
        for what, size, fields in (("one byte too big", fits - 39, {}), ("twice too big", 2 * fits + 3, {}), ("with DSCP and ECN", fits, {"tos": 0x4A})):
            src = CLIENTS.next(4)
            ip = built(packet(mode, src, mode.vip, flags=0, id=next(IDS), **fields) / TCP(sport=40520, dport=HTTP, flags="PA") / Raw(pattern(size)))
            frames = pieces(mode, ip, (src, mode.vip, 40520, HTTP, 6))
            assert len(frames) > 1
            cases.add(f"{mode.name}: without DF, {what}: in {len(frames)} pieces", (arrives(ip), sent(mode, frames)))
        src = CLIENTS.next(4)
        options = [IPOption_NOP()] * 3 + [IPOption_Security(security=1, compartment=2, handling_restrictions=3, transmission_control_code=b"abc"),
                                          IPOption_RR(length=7, pointer=4, routers=["0.0.0.0"])]
        ip = built(packet(mode, src, mode.vip, flags=0, id=next(IDS), options=options) / TCP(sport=40521, dport=HTTP, flags="PA") / Raw(pattern(fits)))
        cases.add(f"{mode.name}: without DF, only the options that are to be copied are in every piece",
                  (arrives(ip), sent(mode, pieces(mode, ip, (src, mode.vip, 40521, HTTP, 6)))))
    for mode in MODES4:
        d = Datagram(mode, 4000)
        a, b = d.cuts(1600)
        cases.add(f"{mode.name}: fragments that are too big are cut again", *[(arrives(f), sent(mode, pieces(mode, f, d.flow))) for f in (a, b)])


def all_cases():
    cases = Cases()
    for some in (in_order, out_of_order, overlapping, tiny, last_hops, cut_by_us):
        some(cases)
    return cases.lines


assert TCP and MODES6 and one_hop_less and UDP
