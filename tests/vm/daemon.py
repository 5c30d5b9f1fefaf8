"""lbd in the guest: started, asked, killed."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

from guest import LBCTL, LBD, wait_for


class Daemon:
    def __init__(self, folder, config, ns=None):
        self.folder = Path(folder)
        self.ns = ns
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "state").mkdir(parents=True)
        self.config = self.folder / "lbd.yaml"
        self.config.write_text(config)
        self.socket = self.folder / "lbd.sock"
        self.log_file = self.folder / "lbd.log"

    def start(self, seconds=60):
        """Returns when it answers."""
        argv = [*(["ip", "netns", "exec", self.ns] if self.ns else []), str(LBD), "--config", str(self.config)]
        with open(self.log_file, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for("lbd answers", lambda: self.process.poll() is not None or self.answers(), seconds)
        assert self.process.poll() is None, f"lbd ended with {self.process.returncode}\n{self.log()}"

    def answers(self):
        return self.socket.exists() and subprocess.run([LBCTL, "-s", self.socket, "stats"], capture_output=True).returncode == 0

    def stop(self, how=signal.SIGTERM, seconds=30):
        self.process.send_signal(how)
        self.process.wait(timeout=seconds)
        self.process = None

    def log(self):
        return self.log_file.read_text()[-5000:] if self.log_file.exists() else ""

    def lbctl(self, *args, stdin=None, exit_code=0):
        done = subprocess.run([LBCTL, "-s", self.socket, *map(str, args)], capture_output=True, text=True, input=stdin, timeout=60)
        assert done.returncode == exit_code, f"lbctl {args}: exit code {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout

    def json(self, *args, stdin=None):
        return json.loads(self.lbctl("--json", *args, stdin=stdin))

    def workers(self):
        """Counters by worker."""
        return [w["counters"] for w in self.json("stats", "workers")["workers"]]

    def totals(self):
        return self.json("stats", "workers")["totals"]
