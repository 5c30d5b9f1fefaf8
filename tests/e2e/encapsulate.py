"""A load balancer of one backend, for tests of decapsulation: takes frames to a VIP off one interface and sends them, wrapped, by another.

Usage: encapsulate.py IN OUT OUT_MAC DST_MAC ipip|gue0|gue1 OUTER_SRC OUTER_DST VIP...   prints "ready" when it listens
"""

import ipaddress
import socket
import struct
import sys


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def wrapped(tunnel, source, destination, inner):
    v6 = inner[0] >> 4 == 6
    proto, payload = (41 if v6 else 4), inner
    if tunnel != "ipip":
        head = b"" if tunnel == "gue1" else bytes([0, proto, 0, 0])
        payload = struct.pack("!HHHH", 50000, 6080, 8 + len(head) + len(inner), 0) + head + inner
        proto = 17
    if source.version == 6:
        header = struct.pack("!IHBB", 6 << 28, len(payload), proto, 64) + source.packed + destination.packed
    else:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, proto, 0) + source.packed + destination.packed
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return header + payload


def main():
    incoming, outgoing, own, peer, tunnel, source, destination, *vips = sys.argv[1:]
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    vips = {ipaddress.ip_address(v).packed for v in vips}
    rx = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    rx.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    rx.bind((incoming, 3))
    tx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    tx.bind((outgoing, 0))
    mac = bytes.fromhex((peer + own).replace(":", ""))
    ether_type = struct.pack("!H", 0x86DD if source.version == 6 else 0x0800)
    print("ready", flush=True)
    while True:
        packet, (_, _, kind, *_) = rx.recvfrom(65536)
        if kind == socket.PACKET_OUTGOING or not packet:
            continue
        version = packet[0] >> 4
        to = packet[16:20] if version == 4 else packet[24:40] if version == 6 else b""
        if to not in vips:
            continue
        length = struct.unpack("!H", packet[2:4])[0] if version == 4 else 40 + struct.unpack("!H", packet[4:6])[0]
        tx.send(mac + ether_type + wrapped(tunnel, source, destination, packet[:length]))


main()
