"""Small HTTP between namespaces. Run as a program it is the backends' server: one process listens in every backend's namespace.

    web.py NAME...     serves until it is killed; prints "ready" when it listens
"""

import selectors
import socket
import sys
import time

from guest import namespace

PORT = 80


def fetch(address, timeout=10.0, port=PORT, ns="c"):
    """One GET over a connection of its own. Returns (backend's name, its whole answer); raises OSError on whatever goes wrong."""
    with namespace(ns):
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    with s:
        deadline = time.monotonic() + timeout
        s.settimeout(timeout)
        s.connect((address, port))
        s.sendall(b"GET / HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\n\r\n")
        answer = b""
        while True:
            s.settimeout(max(0.001, deadline - time.monotonic()))
            piece = s.recv(65536)
            if not piece:
                break
            answer += piece
    head, _, body = answer.decode().partition("\r\n\r\n")
    if not head.startswith("HTTP/1.1 200 "):
        raise OSError(f"{address} answered {answer!r}")
    return body.split()[0], body


def serve(names):
    waiting = selectors.DefaultSelector()
    for name in names:
        with namespace(name):
            for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                s = socket.socket(family)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                s.bind((anywhere, PORT))
                s.listen(1024)
                waiting.register(s, selectors.EVENT_READ, name)
    print("ready", flush=True)
    while True:
        for key, _ in waiting.select():
            connection, peer = key.fileobj.accept()
            with connection:
                connection.settimeout(10)
                answer(connection, peer, key.data)


def answer(connection, peer, name):
    """A client that sends no whole request in time gets none, and the next one is served."""
    try:
        request = b""
        while b"\r\n\r\n" not in request:
            piece = connection.recv(4096)
            if not piece:
                return
            request += piece
        body = f"{name} client {peer[0]} port {peer[1]} at {connection.getsockname()[0]}\n"
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    except OSError as error:
        print(f"{name}: {peer}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1:])
