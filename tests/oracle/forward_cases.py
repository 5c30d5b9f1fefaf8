"""What goes on to the backend: every mode and family, with everything that a packet may carry along."""

from scapy.layers.inet import IPOption_NOP, IPOption_RR, IPOption_Router_Alert
from scapy.layers.inet6 import (IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)
from scapy.layers.ipsec import AH

from case import Cases, dropped, forwarded
from facts import DNS, FAR, HTTP, MODES, MODES4, MODES6, TAGGED
from frames import IP, TCP, UDP, Raw, arrives, built, flow_of, packet, pattern

CLIENT = {4: "198.51.100.7", 6: "2001:db8:c::7"}
OTHER_CLIENT = {4: "203.0.113.250", 6: "2001:db8:ffff:1:2:3:4:5"}


def to(mode, l4, src=CLIENT, **fields):
    return built(packet(mode, src[mode.family], mode.vip, **fields) / l4)


def goes(cases, name, mode, ip, **how):
    cases.add(f"{mode.name}: {name}", (arrives(ip, **how), forwarded(mode, ip, flow_of(ip))))


def plain(cases):
    for mode in MODES + TAGGED + FAR:
        goes(cases, "a SYN with the usual options", mode, to(mode, TCP(sport=40000, dport=HTTP, flags="S", seq=1, options=[
            ("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)])))
        goes(cases, "a segment with data", mode, to(mode, TCP(sport=65535, dport=HTTP, flags="PA", seq=2**32 - 1, ack=7) / Raw(pattern(100))))
        goes(cases, "an odd number of bytes", mode, to(mode, TCP(sport=1, dport=HTTP, flags="A") / Raw(b"x")))
        goes(cases, "FIN and ACK", mode, to(mode, TCP(sport=40003, dport=HTTP, flags="FA", seq=9, ack=10), OTHER_CLIENT))
        goes(cases, "the largest that fits", mode,
             to(mode, TCP(sport=40001, dport=HTTP, flags="A") / Raw(pattern(mode.mtu - mode.overhead - (40 if mode.family == 4 else 60)))))
    for mode in MODES + TAGGED:
        goes(cases, "a datagram", mode, to(mode, UDP(sport=5353, dport=DNS) / Raw(pattern(31))))
        goes(cases, "an empty datagram", mode, to(mode, UDP(sport=0, dport=DNS)))
        ip = to(mode, UDP(sport=9, dport=DNS, len=12) / Raw(pattern(24)))
        goes(cases, "a datagram with a surplus area", mode, ip)


def traffic_class(cases):
    for mode in MODES:
        steps = []
        for dscp in range(64):
            ip = to(mode, TCP(sport=42000 + dscp, dport=HTTP, flags="A"), tos=dscp << 2 | dscp % 4)
            steps.append((arrives(ip), forwarded(mode, ip, flow_of(ip))))
        cases.add(f"{mode.name}: every DSCP", *steps)
        for ecn, what in enumerate(["not ECN-capable", "ECT(1)", "ECT(0)", "congestion experienced"]):
            goes(cases, f"ECN: {what}", mode, to(mode, UDP(sport=4242, dport=DNS) / Raw(b"ecn"), tos=0xB8 | ecn))


def link(cases):
    for mode in MODES + TAGGED:
        tcp = TCP(sport=40010, dport=HTTP, flags="PA", seq=5) / Raw(pattern(10))
        goes(cases, "a VLAN tag", mode, to(mode, tcp), tags=[(0x8100, 100)])
        goes(cases, "a priority tag", mode, to(mode, tcp), tags=[(0x8100, 0)])
        goes(cases, "QinQ", mode, to(mode, tcp), tags=[(0x88A8, 4094), (0x8100, 5)])
        goes(cases, "two 802.1Q tags", mode, to(mode, tcp), tags=[(0x8100, 1), (0x8100, 2)])
        small = to(mode, UDP(sport=7, dport=DNS))
        goes(cases, "padded to the shortest Ethernet frame", mode, small, padding=bytes(max(0, 60 - 14 - len(bytes(small)))) or bytes(1))
        goes(cases, "a long trailer", mode, small, padding=b"\xff" * 100)
        goes(cases, "a tag and padding", mode, small, tags=[(0x8100, 9)], padding=bytes(18))


def ipv4_options(cases):
    tcp = TCP(sport=40020, dport=HTTP, flags="PA") / Raw(pattern(17))
    kinds = {"NOPs": [IPOption_NOP()] * 4, "a record route of 40 bytes": [IPOption_RR(length=39, pointer=4, routers=["0.0.0.0"] * 9), IPOption_NOP()],
             "a router alert": [IPOption_Router_Alert()]}
    for mode in MODES4:
        for what, options in kinds.items():
            goes(cases, f"options: {what}", mode, to(mode, tcp, options=options))
    mode = MODES4[1]
    ip = to(mode, tcp, options=kinds["NOPs"])
    broken = bytearray(bytes(ip))
    broken[20] = 0
    cases.add("4 in 4: options that the checksum does not cover", (arrives(Raw(bytes(broken))), dropped("bad_ip_checksum")))


def chain(mode, headers, l4, **fields):
    """Extension headers in front of l4, each naming the next."""
    ip = packet(mode, CLIENT[6], mode.vip, **fields)
    for header in headers:
        ip = ip / header
    return built(ip / l4)


def ipv6_extensions(cases):
    tcp = TCP(sport=40030, dport=HTTP, flags="PA") / Raw(pattern(9))
    options = lambda n: [PadN(optdata=bytes(n))]  # noqa: E731
    kinds = {
        "hop-by-hop": [IPv6ExtHdrHopByHop(options=options(4))],
        "destination options": [IPv6ExtHdrDestOpt(options=options(12))],
        "routing, no segment left": [IPv6ExtHdrRouting(type=4, segleft=0, addresses=["2001:db8::1"])],
        "an atomic fragment": [IPv6ExtHdrFragment(offset=0, m=0, id=99)],
        "authentication": [AH(nh=6, payloadlen=4, spi=1, seq=2, icv=bytes(12))],
        "three headers": [IPv6ExtHdrHopByHop(options=options(4)), IPv6ExtHdrDestOpt(options=options(4)),
                          IPv6ExtHdrRouting(type=4, segleft=0, addresses=["2001:db8::2"])],
        "eight headers": [IPv6ExtHdrHopByHop(options=options(4))] + [IPv6ExtHdrDestOpt(options=options(4)) for _ in range(7)],
        "256 bytes of headers": [IPv6ExtHdrDestOpt(options=options(252))],
    }
    for mode in MODES6:
        for what, headers in kinds.items():
            ip = chain(mode, headers, tcp)
            cases.add(f"{mode.name}: {what}", (arrives(ip), forwarded(mode, ip, (CLIENT[6], mode.vip, 40030, HTTP, 6))))
        nine = chain(mode, [IPv6ExtHdrDestOpt(options=options(4)) for _ in range(9)], tcp)
        cases.add(f"{mode.name}: nine headers", (arrives(nine), dropped("bad_extension")))


def last_hops(cases):
    for mode in MODES:
        goes(cases, "two hops left", mode, to(mode, TCP(sport=40040, dport=HTTP, flags="A"), ttl=2))
        goes(cases, "255 hops left", mode, to(mode, UDP(sport=40041, dport=DNS), ttl=255))


def faults(cases):
    for mode in MODES4:
        tcp = TCP(sport=40050, dport=HTTP, flags="A")
        for what, fields in {"a wrong header checksum": {"chksum": 0x1234}, }.items():
            ip = packet(mode, CLIENT[4], mode.vip, **fields) / tcp
            cases.add(f"{mode.name}: {what}", (arrives(ip), dropped("bad_ip_checksum")))
        for what, fields in {"a header of 16 bytes": {"ihl": 4}, "longer than the frame": {"len": 41}, "shorter than its header": {"len": 19},
                             "version 5": {"version": 5}}.items():
            cases.add(f"{mode.name}: {what}", (arrives(packet(mode, CLIENT[4], mode.vip, **fields) / tcp), dropped("bad_ip_header")))
        for source in ["0.0.0.1", "127.0.0.1", "224.0.0.5", "255.255.255.255", mode.vip]:
            ip = packet(mode, source, mode.vip) / tcp
            cases.add(f"{mode.name}: from {source}", (arrives(ip), dropped("bad_source")))
    for mode in MODES6:
        tcp = TCP(sport=40050, dport=HTTP, flags="A")
        for what, fields in {"longer than the frame": {"plen": 21}, "version 4": {"version": 4}}.items():
            cases.add(f"{mode.name}: {what}", (arrives(packet(mode, CLIENT[6], mode.vip, **fields) / tcp), dropped("bad_ip_header")))
        for source in ["::", "::1", "ff02::1", "::ffff:198.51.100.7", mode.vip]:
            ip = packet(mode, source, mode.vip) / tcp
            cases.add(f"{mode.name}: from {source}", (arrives(ip), dropped("bad_source")))
    for mode in MODES:
        for what, l4 in {"a TCP header of 16 bytes": TCP(sport=1, dport=HTTP, dataofs=4), "TCP options beyond the packet": TCP(sport=1, dport=HTTP, dataofs=6),
                         "a UDP length of 7": UDP(sport=1, dport=DNS, len=7), "a UDP length beyond the packet": UDP(sport=1, dport=DNS, len=9)}.items():
            cases.add(f"{mode.name}: {what}", (arrives(packet(mode, CLIENT[mode.family], mode.vip) / l4), dropped("bad_l4_header")))


def all_cases():
    cases = Cases()
    for some in (plain, traffic_class, link, ipv4_options, ipv6_extensions, last_hops, faults):
        some(cases)
    return cases.lines


assert IP
