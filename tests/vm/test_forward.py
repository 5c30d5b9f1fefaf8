"""dsr and ipip in every pair of families, with the kernel's own decapsulation at the backends."""

from concurrent.futures import ThreadPoolExecutor

import network
from network import BACKENDS, TUNNELLED, VIPS
from web import fetch

REQUESTS = 24


def answered(vip, count=REQUESTS):
    """Which backends answered; every request must be answered, and by one that saw the client and the VIP themselves."""
    names = set()
    for _ in range(count):
        name, text = fetch(vip)
        assert f"client {network.CLIENT[network.is6(vip)]} " in text and text.endswith(f"at {vip}\n"), text
        names.add(name)
    return names


def nobody_answers(vips):
    """All asked at once, for two seconds."""
    def ask(vip):
        try:
            return f"{vip} answered: {fetch(vip, timeout=2.0)}"
        except TimeoutError:
            return None
    with ThreadPoolExecutor(len(vips)) as many:
        answers = [text for text in many.map(ask, vips) if text]
    assert not answers, answers


def test_every_service_answers(world):
    lbd = world.lbd()
    before = lbd.totals()
    for vip in VIPS:
        names = answered(vip)
        assert len(names) >= 2 and names <= set(BACKENDS), (vip, names)
    after = lbd.totals()
    # SYN, ACK, request, FIN and the last ACK at least.
    assert after["forwarded"] - before["forwarded"] >= 4 * REQUESTS * len(VIPS), (before, after)
    assert lbd.json("stats", "workers")["balanced"]


def test_without_decapsulation_only_dsr_answers(world):
    """The control: were packets not encapsulated, or undone by something else, this would answer."""
    world.lbd()
    network.decapsulation(False)
    try:
        nobody_answers(TUNNELLED)
        for vip in set(VIPS) - set(TUNNELLED):
            answered(vip, 2)
    finally:
        network.decapsulation(True)
    for vip in TUNNELLED:
        answered(vip, 2)
