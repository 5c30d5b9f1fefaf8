"""What is answered: echo requests, last hops, what is too big and may not be cut, closed ports; and what never is."""

from scapy.layers.inet import IPOption_NOP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6ExtHdrDestOpt, PadN

from answers import echo_reply, port_unreachable, reset, time_exceeded, too_big
from case import Cases, answered, dropped, forwarded, punted
from facts import DNS, FAR, HTTP, MODES, MODES4, MODES6, PUNTING, REJECTING, SILENT, TAGGED
from frames import CLIENTS, ICMP, IP, TCP, UDP, Raw, arrives, built, flow_of, packet, pattern

TAGGINGS = {"": [], ", tagged": [(0x8100, 12)], ", QinQ": [(0x88A8, 3), (0x8100, 4)]}


def request(vip, payload, seq=1, ident=0x1234, options=(), **fields):
    family = 6 if ":" in vip else 4
    icmp = ICMPv6EchoRequest(id=ident, seq=seq, data=payload) if family == 6 else ICMP(type=8, id=ident, seq=seq) / Raw(payload)
    ip = packet(family, CLIENTS.next(family), vip, **fields)
    for header in options:
        ip = ip / header
    return built(ip / icmp)


def echo(cases):
    vips = {"v4": "192.0.2.10", "v6": "2001:db8::10", "dsr v4": "192.0.2.20", "dsr v6": "2001:db8::20"}
    for name, vip in vips.items():
        for size in (0, 1, 56, 1400):
            ip = request(vip, pattern(size), seq=size)
            cases.add(f"{name}: echo of {size} bytes", (arrives(ip), answered(echo_reply(ip, pattern(size), 0x1234, size))))
        for what, tags in list(TAGGINGS.items())[1:]:
            ip = request(vip, b"tags")
            cases.add(f"{name}: echo{what}", (arrives(ip, tags=tags), answered(echo_reply(ip, b"tags", 0x1234, 1, tags))))
        ip = request(vip, b"one", ttl=1)
        cases.add(f"{name}: echo with the last hop, which is for the address itself", (arrives(ip), answered(echo_reply(ip, b"one", 0x1234, 1))))
        ip = request(vip, b"tos", tos=0xB9)
        cases.add(f"{name}: echo with DSCP and ECN", (arrives(ip), answered(echo_reply(ip, b"tos", 0x1234, 1))))
        ip = request(vip, b"")
        cases.add(f"{name}: echo in a padded frame", (arrives(ip, padding=bytes(18)), answered(echo_reply(ip, b"", 0x1234, 1))))
    ip = request("192.0.2.10", pattern(9), flags="", id=0x4321)
    cases.add("v4: echo without DF", (arrives(ip), answered(echo_reply(ip, pattern(9), 0x1234, 1))))
    plain = request("192.0.2.10", pattern(9))
    ip = packet(4, plain.src, plain.dst, options=[IPOption_NOP()] * 8) / ICMP(type=8, id=0x1234, seq=1) / Raw(pattern(9))
    cases.add("v4: echo with options, which the reply has not", (arrives(ip), answered(echo_reply(plain, pattern(9), 0x1234, 1))))
    ip = request("2001:db8::10", pattern(9), options=[IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])])
    cases.add("v6: echo behind destination options, which the reply has not", (arrives(ip), answered(echo_reply(ip, pattern(9), 0x1234, 1))))
    for kind in (0, 13, 17):
        ip = packet(4, "198.51.100.7", "192.0.2.10") / ICMP(type=kind)
        cases.add(f"v4: ICMP type {kind} gets no answer", (arrives(ip), dropped("icmp_other")))


def last_hop(cases):
    for mode in MODES:
        for what, l4 in {"TCP": TCP(sport=40100, dport=HTTP, flags="S"), "UDP": UDP(sport=40101, dport=DNS) / Raw(pattern(12))}.items():
            for hops in (1, 0):
                ip = built(packet(mode, CLIENTS.next(mode.family), mode.vip, ttl=hops) / l4)
                cases.add(f"{mode.name}: {what} with TTL {hops}", (arrives(ip), answered(time_exceeded(ip))))
        for what, tags in list(TAGGINGS.items())[1:]:
            ip = built(packet(mode, CLIENTS.next(mode.family), mode.vip, ttl=1) / UDP(sport=9, dport=DNS))
            cases.add(f"{mode.name}: a last hop{what}", (arrives(ip, tags=tags), answered(time_exceeded(ip, tags))))
        for size in (520, 521, 1184, 1185, 1400):
            ip = built(packet(mode, CLIENTS.next(mode.family), mode.vip, ttl=1, tos=4) / UDP(sport=9, dport=DNS) / Raw(pattern(size)))
            cases.add(f"{mode.name}: a last hop of {size} bytes, quoted as far as it may be", (arrives(ip), answered(time_exceeded(ip))))
        ip = built(packet(mode, CLIENTS.next(mode.family), mode.vip, ttl=1) / TCP(sport=9, dport=HTTP, flags="R"))
        cases.add(f"{mode.name}: a last hop of a reset", (arrives(ip), answered(time_exceeded(ip))))
    for mode in MODES4:
        ip = built(packet(mode, CLIENTS.next(4), mode.vip, ttl=1, options=[IPOption_NOP()] * 4) / TCP(sport=9, dport=HTTP, flags="A"))
        cases.add(f"{mode.name}: a last hop with options, quoted with them", (arrives(ip), answered(time_exceeded(ip))))
        cases.add(f"{mode.name}: a last hop of class E", (arrives(packet(mode, "240.0.0.1", mode.vip, ttl=1) / UDP(sport=9, dport=DNS)), dropped("ttl_expired")))
    for mode in MODES6:
        ip = packet(mode, CLIENTS.next(6), mode.vip, ttl=1) / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))])
        ip = built(ip / TCP(sport=9, dport=HTTP, flags="A"))
        cases.add(f"{mode.name}: a last hop behind destination options", (arrives(ip), answered(time_exceeded(ip))))


def does_not_fit(cases):
    for mode in MODES + TAGGED + FAR:
        fits = mode.mtu - mode.overhead
        head = 40 if mode.family == 4 else 60
        for more in (1, 2, 8, 100):
            ip = built(packet(mode, CLIENTS.next(mode.family), mode.vip) / TCP(sport=40200, dport=HTTP, flags="A") / Raw(pattern(fits - head + more)))
            cases.add(f"{mode.name}: {more} bytes too big", (arrives(ip), answered(too_big(ip, fits))))
        ip = built(packet(mode, CLIENTS.next(mode.family), mode.vip, tos=0x28) / TCP(sport=40201, dport=HTTP, flags="PA") / Raw(pattern(fits)))
        tags = [(0x8100, 77)]
        cases.add(f"{mode.name}: too big, tagged", (arrives(ip, tags=tags), answered(too_big(ip, fits, tags))))
        ip = built(packet(mode, CLIENTS.next(mode.family), mode.vip, ttl=1) / TCP(sport=40202, dport=HTTP, flags="A") / Raw(pattern(fits)))
        cases.add(f"{mode.name}: too big, and its last hop is told", (arrives(ip), answered(time_exceeded(ip))))
        ip = built(packet(mode, CLIENTS.next(mode.family), mode.vip) / TCP(sport=40203, dport=HTTP, flags="A") / Raw(pattern(fits - head)))
        cases.add(f"{mode.name}: padding does not make it too big", (arrives(ip, padding=bytes(20)), forwarded(mode, ip, flow_of(ip))))


def closed_ports(cases):
    for family, vip in REJECTING.items():
        for what, tags in TAGGINGS.items():
            ip = built(packet(family, CLIENTS.next(family), vip) / TCP(sport=40300, dport=81, flags="S", seq=2**32 - 1, options=[("MSS", 1460)]))
            cases.add(f"reject v{family}: a SYN{what}", (arrives(ip, tags=tags), answered(reset(ip, 0, tags))))
            ip = built(packet(family, CLIENTS.next(family), vip, tos=0x2E) / UDP(sport=40301, dport=82) / Raw(pattern(40)))
            cases.add(f"reject v{family}: a datagram{what}", (arrives(ip, tags=tags), answered(port_unreachable(ip, tags))))
        for flags, data in {"A": 0, "PA": 33, "FA": 5, "SA": 0, "": 7, "F": 3, "SF": 0, "SP": 11}.items():
            ip = built(packet(family, CLIENTS.next(family), vip) / TCP(sport=40302, dport=81, flags=flags, seq=1000, ack=2000) / Raw(pattern(data)))
            cases.add(f"reject v{family}: flags {flags or 'none'} and {data} bytes", (arrives(ip), answered(reset(ip, data))))
        for flags in ("R", "RA", "RS"):
            ip = packet(family, CLIENTS.next(family), vip) / TCP(sport=40303, dport=81, flags=flags, seq=5)
            cases.add(f"reject v{family}: no answer to flags {flags}", (arrives(ip), dropped("no_listener")))
        ip = built(packet(family, CLIENTS.next(family), vip) / UDP(sport=40304, dport=82) / Raw(pattern(1300)))
        cases.add(f"reject v{family}: a long datagram, quoted as far as it may be", (arrives(ip), answered(port_unreachable(ip))))
        ip = built(packet(family, CLIENTS.next(family), vip, ttl=1) / UDP(sport=40305, dport=82))
        cases.add(f"reject v{family}: the last hop to a closed port", (arrives(ip), answered(port_unreachable(ip))))
    ip = packet(4, "198.51.100.9", "192.0.2.10") / TCP(sport=40306, dport=81, flags="S")
    cases.add("no listener, and nothing is said", (arrives(ip), dropped("no_listener")))
    for l4 in (TCP(sport=40307, dport=81, flags="S"), UDP(sport=40307, dport=81)):
        name = l4.name
        cases.add(f"punt: {name} to a closed port is the kernel's", (arrives(packet(4, "198.51.100.9", PUNTING) / l4), punted()))
        cases.add(f"drop: {name} to a closed port, though the kernel has the address", (arrives(packet(4, "198.51.100.9", SILENT) / l4), dropped("no_listener")))


def all_cases():
    cases = Cases()
    for some in (echo, last_hop, does_not_fit, closed_ports):
        some(cases)
    return cases.lines


assert IP
