#!/usr/bin/python3
"""Datagrams in fragments, for tests of lbd: a client that makes the fragments itself and sends them in another order, a flood, a server.

    datagrams.py serve NAME PORT ADDRESS...              answers each datagram with NAME, its number and its checksum
    datagrams.py send INTERFACE MAC SOURCE VIP PORT N    N datagrams of 8 KB, of 50 flows; prints one JSON object
    datagrams.py flood INTERFACE MAC SOURCE VIP PORT RATE   that many fragments a second that never make a datagram, until stdin ends
"""
import json
import os
import random
import selectors
import socket
import struct
import sys
import time
import zlib

SIZE, FLOWS = 8000, 50
REORDERED = 0.05
UNITS = 180  # 1,440 bytes a fragment
RCVBUFFORCE = 33  # SO_RCVBUFFORCE


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(source, vip, sport, port, payload):
    a, b = (socket.inet_pton(family_of(x), x) for x in (source, vip))
    length = 8 + len(payload)
    header = struct.pack("!HHHH", sport, port, length, 0)
    pseudo = a + b + struct.pack("!IBBBB", length, 0, 0, 0, 17)
    data = pseudo + header + payload
    total = checksum(data + b"\0" * (len(data) % 2)) or 0xFFFF
    return struct.pack("!HHHH", sport, port, length, total) + payload


def fragment(macs, source, vip, number, offset, data, more):
    a, b = (socket.inet_pton(family_of(x), x) for x in (source, vip))
    if family_of(vip) == socket.AF_INET6:
        head = struct.pack("!IHBB", 0x60000000, 8 + len(data), 44, 64) + a + b
        return macs + b"\x86\xdd" + head + struct.pack("!BBHI", 17, 0, offset << 3 | more, number) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), number & 0xFFFF, more << 13 | offset, 64, 17, 0) + a + b
    return macs + b"\x08\x00" + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + data


def cut(macs, source, vip, number, whole):
    frames = []
    for at in range(0, len(whole), UNITS * 8):
        piece = whole[at:at + UNITS * 8]
        frames.append(fragment(macs, source, vip, number, at // 8, piece, int(at + len(piece) < len(whole))))
    return frames


def wire(interface, mac):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((interface, 0))
    own = s.getsockname()[4]
    return s, bytes.fromhex(mac.replace(":", "")) + own


def serve(name, port, *addresses):
    ready = selectors.DefaultSelector()
    for address in addresses:
        s = socket.socket(family_of(address), socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 1 << 23)
        s.bind((address, int(port)))
        ready.register(s, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in ready.select():
            data, client = key.fileobj.recvfrom(65536)
            key.fileobj.sendto(json.dumps([name, data[:8].hex(), zlib.crc32(data), len(data)]).encode(), client)


def ask_backend(s, vip, port):
    """The backend of the unfragmented flow of this socket."""
    s.settimeout(0.5)
    for _ in range(20):
        s.sendto(b"whole", (vip, port))
        try:
            return json.loads(s.recv(2048))[0]
        except TimeoutError:
            continue
    raise SystemExit("no backend answers an unfragmented datagram")


def reordered(frames):
    order = sorted(range(len(frames)), key=lambda i: i + (random.randint(1, 8) + 0.5 if random.random() < REORDERED else 0))
    return [frames[i] for i in order]


def collect(sockets, missing, wrong, seconds):
    """Takes answers until nothing is missing or none has come for that long."""
    quiet = time.monotonic() + seconds
    while missing and time.monotonic() < quiet:
        for key, _ in sockets.select(0.001 if seconds == 0 else 0.1):
            name, number, crc, _ = json.loads(key.fileobj.recv(2048))
            expected = missing.pop(number, None)
            if expected is not None and expected != [name, crc]:
                wrong.append([number, expected, name, crc])
            quiet = time.monotonic() + seconds


def send(interface, mac, source, vip, port, count):
    port, count = int(port), int(count)
    out, macs = wire(interface, mac)
    sockets, flows = selectors.DefaultSelector(), []
    for k in range(FLOWS):
        s = socket.socket(family_of(vip), socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 1 << 22)
        s.bind((source, 20000 + k))
        flows.append((20000 + k, ask_backend(s, vip, port)))
        sockets.register(s, selectors.EVENT_READ)
    frames, missing, wrong = [], {}, []
    first = random.getrandbits(32)
    for n in range(count):
        sport, backend = flows[n % FLOWS]
        number = os.urandom(8)
        payload = number + os.urandom(SIZE - 8)
        missing[number.hex()] = [backend, zlib.crc32(payload)]
        frames += cut(macs, source, vip, first + n & 0xFFFFFFFF, udp(source, vip, sport, port, payload))
    frames = reordered(frames)
    for at in range(0, len(frames), 30):
        for frame in frames[at:at + 30]:
            out.send(frame)
        collect(sockets, missing, wrong, 0)
        time.sleep(0.004)
    collect(sockets, missing, wrong, 3)
    print(json.dumps({"sent": count, "fragments": len(frames), "lost": len(missing), "wrong": wrong[:5], "backends": sorted({b for _, b in flows})}))


def flood(interface, mac, source, vip, port, rate):
    """First fragments alone, later fragments alone, and such as overlap: a third each."""
    out, macs = wire(interface, mac)
    head = struct.pack("!HHHH", 666, int(port), 4000, 0)
    each, begun, sent = 20, time.monotonic(), 0
    ended = selectors.DefaultSelector()
    ended.register(sys.stdin, selectors.EVENT_READ)
    while not ended.select(0):
        for _ in range(each):
            number, kind = random.getrandbits(32), sent % 3
            if kind == 0:
                out.send(fragment(macs, source, vip, number, 0, head + bytes(192), 1))
            else:
                out.send(fragment(macs, source, vip, number if kind == 1 else 7, random.randrange(1, 500) if kind == 2 else 180, bytes(400), 1))
            sent += 1
        time.sleep(max(0.0, begun + sent / int(rate) - time.monotonic()))
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    {"serve": serve, "send": send, "flood": flood}[sys.argv[1]](*sys.argv[2:])
