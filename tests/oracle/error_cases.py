"""ICMP errors about what a backend sent from a listener's address: they go to the backend that has the quoted flow (here: the only one)."""

from scapy.layers.inet import IPOption_NOP
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN)

from case import Cases, dropped, forwarded
from facts import DNS, FAR, HTTP, MODES, TAGGED
from frames import ICMP, IP, TCP, UDP, Raw, arrives, built, packet, pattern

SOMEBODY = {4: "203.0.113.1", 6: "2001:db8:9::1"}  # a router on the way
CLIENT = {4: "198.51.100.7", 6: "2001:db8:c::7"}
ERRORS = {
    4: {"unreachable": ICMP(type=3, code=1), "fragmentation needed": ICMP(type=3, code=4, nexthopmtu=1400), "time exceeded": ICMP(type=11),
        "parameter problem": ICMP(type=12, ptr=1)},
    6: {"unreachable": ICMPv6DestUnreach(code=3), "packet too big": ICMPv6PacketTooBig(mtu=1400), "time exceeded": ICMPv6TimeExceeded(),
        "parameter problem": ICMPv6ParamProblem(ptr=6)},
}


def reply(mode, l4, headers=(), **fields):
    """What the backend sent: from the listener to the client, less the hops to the router that complains."""
    ip = packet(mode, mode.vip, CLIENT[mode.family], **{"ttl": 57, **fields})
    for header in headers:
        ip = ip / header
    return bytes(ip / l4)


def error(mode, icmp, quote, dst=None, **fields):
    return built(packet(mode, SOMEBODY[mode.family], dst or mode.vip, **fields) / icmp.copy() / Raw(quote))


def goes(cases, name, mode, ip, flow, **how):
    cases.add(f"{mode.name}: {name}", (arrives(ip, **how), forwarded(mode, ip, flow, is_error=True)))


def flow(mode, port, own, proto):
    """As the client's packets have it."""
    return (CLIENT[mode.family], mode.vip, port, own, proto)


def tcp(port, data=0):
    return TCP(sport=HTTP, dport=port, flags="PA", seq=77) / Raw(pattern(data))


def head(mode):
    return 20 if mode.family == 4 else 40


def kinds(cases):
    for mode in MODES + TAGGED + FAR:
        for port, (what, icmp) in enumerate(ERRORS[mode.family].items(), 40400):
            quote = reply(mode, tcp(port, 400))
            goes(cases, f"{what}, 8 bytes of TCP quoted", mode, error(mode, icmp, quote[:head(mode) + 8]), flow(mode, port, HTTP, 6))
            goes(cases, f"{what}, much quoted", mode, error(mode, icmp, quote), flow(mode, port, HTTP, 6))
    for mode in MODES:
        too_big = ERRORS[mode.family]["fragmentation needed" if mode.family == 4 else "packet too big"]
        quote = reply(mode, UDP(sport=DNS, dport=40410) / Raw(pattern(200)))
        goes(cases, "an error about a datagram", mode, error(mode, too_big, quote[:head(mode) + 8]), flow(mode, 40410, DNS, 17))
        goes(cases, "an error behind a tag", mode, error(mode, too_big, quote), flow(mode, 40410, DNS, 17), tags=[(0x8100, 6)])
        goes(cases, "an error in a padded frame", mode, error(mode, too_big, quote[:head(mode) + 8]), flow(mode, 40410, DNS, 17), padding=bytes(12))
        goes(cases, "an error with DSCP", mode, error(mode, too_big, quote[:head(mode) + 8], tos=0xC0), flow(mode, 40410, DNS, 17))


def quotes(cases):
    options = [PadN(optdata=bytes(4))]
    for mode in MODES:
        lost = ERRORS[mode.family]["unreachable"]
        if mode.family == 4:
            quote = reply(mode, tcp(40420, 40), options=[IPOption_NOP()] * 12)
            goes(cases, "a quote with options", mode, error(mode, lost, quote[:32 + 8]), flow(mode, 40420, HTTP, 6))
            quote = reply(mode, tcp(40421, 40), flags="MF", id=9)
            goes(cases, "a quoted first fragment", mode, error(mode, lost, quote[:28]), flow(mode, 40421, HTTP, 6))
            quote = reply(mode, tcp(40422), chksum=0x1111, ttl=0)
            goes(cases, "a quote whose checksum no router mended", mode, error(mode, lost, quote[:28]), flow(mode, 40422, HTTP, 6))
            later = reply(mode, Raw(pattern(40)), frag=3, id=9, proto=6)
        else:
            for what, headers in {"hop-by-hop options": [IPv6ExtHdrHopByHop(options=options)],
                                  "two headers": [IPv6ExtHdrHopByHop(options=options), IPv6ExtHdrDestOpt(options=options)],
                                  "a first fragment's header": [IPv6ExtHdrFragment(offset=0, m=1, id=9)]}.items():
                quote = reply(mode, tcp(40423, 40), headers)
                goes(cases, f"a quote with {what}", mode, error(mode, lost, quote[:40 + 8 * len(headers) + 8]), flow(mode, 40423, HTTP, 6))
            later = reply(mode, Raw(pattern(40)), [IPv6ExtHdrFragment(nh=6, offset=3, m=0, id=9)])
        unmatched = {"a quoted later fragment": later, "7 bytes of TCP quoted": reply(mode, tcp(40424))[:head(mode) + 7],
                     "half a header quoted": reply(mode, tcp(40424))[:head(mode) // 2], "nothing quoted": b"",
                     "a quote from an address of somebody else": bytes(packet(mode, SOMEBODY[mode.family], CLIENT[mode.family]) / tcp(40424)),
                     "a quoted protocol without ports": reply(mode, Raw(pattern(16)), **({"proto": 47} if mode.family == 4 else {"nh": 47}))}
        for what, quote in unmatched.items():
            cases.add(f"{mode.name}: {what}", (arrives(error(mode, lost, quote)), dropped("icmp_unmatched")))
    for name, family, vip in (("v4", 4, "192.0.2.10"), ("v6", 6, "2001:db8::10")):
        mode = next(m for m in MODES if m.vip == vip)
        quote = bytes(packet(family, vip, CLIENT[family]) / TCP(sport=4711, dport=40430))
        cases.add(f"{name}: an error about a port on which nobody listens", (arrives(error(mode, ERRORS[family]["unreachable"], quote)), dropped("no_listener")))


def no_errors_about_errors(cases):
    for mode in MODES:
        lost = ERRORS[mode.family]["unreachable"]
        quote = reply(mode, tcp(40440))
        cases.add(f"{mode.name}: an error's last hop is not told", (arrives(error(mode, lost, quote, ttl=1)), dropped("ttl_expired")))
        if mode.family == 6:
            big = error(mode, lost, quote + pattern(mode.mtu - mode.overhead - 40))
            cases.add(f"{mode.name}: an error too big for its way is not told", (arrives(big), dropped("too_big")))


def all_cases():
    cases = Cases()
    for some in (kinds, quotes, no_errors_about_errors):
        some(cases)
    return cases.lines


assert IP
