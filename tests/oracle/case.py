"""A case as the C++ side reads it: one JSON object, frames in hexadecimal."""

import json
from dataclasses import dataclass, field

from facts import LAN_PORT
from frames import leaves, one_hop_less


@dataclass
class Verdict:
    verdict: str
    out: list = field(default_factory=list)
    egress: int = 0
    service: str = ""
    backend: str = ""
    reason: str = ""
    is_error: bool = False
    released: list = field(default_factory=list)  # verdicts of fragments that were held until now

    def data(self):
        return {"verdict": self.verdict, "out": [f.hex() for f in self.out], "egress": self.egress, "service": self.service,
                "backend": self.backend, "reason": self.reason, "error": self.is_error, "released": [r.data() for r in self.released]}


def sent(mode, frames, **more):
    return Verdict("forwarded", list(frames), LAN_PORT, mode.service, mode.backend, **more)


def forwarded(mode, ip, flow, **more):
    """A whole packet that came in as `ip`."""
    return sent(mode, [leaves(mode, one_hop_less(ip), flow)], **more)


def answered(frame):
    return Verdict("answered", [frame])


def dropped(reason):
    return Verdict("dropped", reason=reason)


def held():
    return Verdict("held")


def punted():
    """To an address of ours, but the kernel's to answer."""
    return Verdict("punted_owned")


class Cases:
    def __init__(self):
        self.lines = {}

    def add(self, name, *steps):
        """steps: (frame, Verdict)."""
        assert name not in self.lines, name
        self.lines[name] = json.dumps(
            {"name": name, "steps": [{"in": bytes(frame).hex(), **verdict.data()} for frame, verdict in steps]}, sort_keys=True)
