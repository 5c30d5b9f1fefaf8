"""UDP that may not be fragmented, as an application does path MTU discovery: `serve PORT ADDRESS...` echoes what it gets, from the address
that it came to; `send ADDRESS PORT BYTES SECONDS` sends a datagram of that size until the kernel says that it is too large, then of
what still fits, and prints {"size": bytes of the largest datagram that came back whole}."""

import json
import select
import socket
import sys
import time

IP_MTU_DISCOVER, IP_MTU, DO = 10, 14, 2  # linux/in.h
IPV6_MTU_DISCOVER, IPV6_MTU = 23, 24  # linux/in6.h


def open_socket(address):
    six = ":" in address
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP, IPV6_MTU_DISCOVER if six else IP_MTU_DISCOVER, DO)
    return s


def serve(port, addresses):
    sockets = []
    for address in addresses:
        s = open_socket(address)
        s.bind((address, port))
        sockets.append(s)
    print("ready", flush=True)
    while True:
        for s in select.select(sockets, [], [])[0]:
            try:
                data, client = s.recvfrom(65536)
                s.sendto(data, client)
            except OSError:
                pass  # an answer that is too large: the client asks again


def send(address, port, size, seconds):
    six = ":" in address
    s = open_socket(address)
    s.connect((address, port))
    s.settimeout(0.1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            s.send(bytes(i % 251 for i in range(size)))
            data = s.recv(65536)
        except TimeoutError:
            continue
        except OSError:  # EMSGSIZE
            mtu = s.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) if six else s.getsockopt(socket.IPPROTO_IP, IP_MTU)
            size = min(size, mtu - (48 if six else 28))
            continue
        if data == bytes(i % 251 for i in range(size)):
            print(json.dumps({"size": size}))
            return 0
    print(json.dumps({"size": None}))
    return 1


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
