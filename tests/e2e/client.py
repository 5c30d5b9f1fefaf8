#!/usr/bin/python3
"""Opens connections, one HTTP request each, and prints one JSON line a connection: which backend answered, from which source port.

Failures are lines too, with "error"; nothing is retried, so that nothing is hidden.
"""
import argparse
import asyncio
import json
import sys
import time
from urllib.parse import urlsplit


async def one(args, host, port, path, local_port):
    result = {}
    writer = None
    phase, start = "handshake", time.time()
    try:
        local = ("::" if ":" in host else "0.0.0.0", local_port) if local_port else None
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, local_addr=local), args.timeout)
        source = writer.get_extra_info("sockname")
        phase = "answer"
        result = {"source": source[0], "source_port": source[1], "destination": host, "port": port}
        name = f"[{host}]" if ":" in host else host
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), args.timeout)
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        result["status"] = int(lines[0].split()[1]) if lines[0] else 0
        result["backend"] = headers.get("x-backend", "")
        result["bytes"] = len(body)
        if result["status"] != 200 or int(headers.get("content-length", -1)) != len(body):
            result["error"] = f"status {result['status']}, {len(body)} of {headers.get('content-length')} bytes"
    except (OSError, asyncio.TimeoutError, ValueError, IndexError) as error:
        result["error"] = f"{phase}: {type(error).__name__}: {error} (begun at {start:.3f})"
    finally:
        if writer:
            writer.close()
    print(json.dumps(result))


async def main(args):
    url = urlsplit(args.url)
    ports = iter(range(args.first_port, args.first_port + args.count) if args.first_port else [0] * args.count)

    async def worker():
        for local_port in ports:
            await one(args, url.hostname, url.port or 80, url.path or "/", local_port)

    await asyncio.gather(*(worker() for _ in range(args.concurrency)))


parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--count", type=int, default=1)
parser.add_argument("--concurrency", type=int, default=32)
parser.add_argument("--timeout", type=float, default=30.0,
                    help="seconds for the handshake, and again for the answer: time for TCP to repeat what a busy machine lost")
parser.add_argument("--first-port", type=int, default=0, help="source ports from here on, one a connection; 0: the kernel's")
asyncio.run(main(parser.parse_args()))
sys.exit(0)
