"""Many connections that last, from namespace c; see tests/tools/transfer_client.cc."""

import json
import subprocess

from guest import TOOLS
from world import TRANSFER_PORT

PATIENCE_S = 90


class Transfers:
    """A with statement ends them, whatever became of them."""

    def __enter__(self):
        self.process = subprocess.Popen(["ip", "netns", "exec", "c", str(TOOLS / "transfer_client"), str(PATIENCE_S)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.count = 0
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def open(self, count, vip, mode="u", period_ms=600_000):
        """Returns when each has got its backend's name."""
        self.count += count
        answer = self.ask(f"open {count} {mode} {period_ms} {vip} {TRANSFER_PORT}")
        assert answer["states"] == {"live": self.count}, answer

    def beat(self):
        answer = self.ask("beat")
        assert answer["states"] == {"live": self.count}, answer

    def finish(self):
        """Both sides agree on every byte, all over."""
        answer = self.ask("finish")
        assert answer["states"] == {"done": self.count}, (answer, [t for t in self.ask("list") if t["state"] != "done"][:3])
