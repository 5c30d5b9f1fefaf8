"""What tests do to the guest: commands, namespaces, NICs. Runs in the guest only, as root; nothing here is retried in silence."""

import ctypes
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LBD_BUILD", ROOT / "build"))
LBD = BUILD / "dataplane" / "lbd"
LBCTL = BUILD / "ctl" / "lbctl"
TOOLS = BUILD / "tests" / "tools"

# As scripts/lib/vm_facts.sh has them.
PCI = {"wan": "0000:00:10.0", "lan": "0000:00:12.0"}
AUX = "0000:00:14.0"  # two queues, no RSS
FAR = {"wan": "0000:00:11.0", "lan": "0000:00:13.0", "aux": "0000:00:15.0"}

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def wait_for(what, condition, seconds=30.0):
    """Polls until condition() is true and returns what it returned; fails with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.05)


def run(*command, ns=None, check=True, stdin=None, timeout=60):
    """Runs a command, in a namespace if asked to, and returns what it printed; fails when it fails."""
    argv = [*(["ip", "netns", "exec", ns] if ns else []), *map(str, command)]
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin, timeout=timeout)
    assert not check or done.returncode == 0, f"{argv}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def ip(lines, ns=None):
    """Many changes by one process: one a line, as `ip` takes them."""
    run("ip", *(["-n", ns] if ns else []), "-batch", "-", stdin="".join(line + "\n" for line in lines))


@contextmanager
def namespace(name):
    """What this thread does inside happens in that namespace; sockets made there stay there."""
    with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{name}") as there:
        _setns(there)
        try:
            yield
        finally:
            _setns(before)


def _setns(file):
    if _libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns to {file.name}")


def sysctl(settings, ns=None):
    """NAME=VALUE ..., dots as slashes where a name has none of its own."""
    def write():
        for setting in settings:
            name, _, value = setting.partition("=")
            Path("/proc/sys", name.replace(".", "/")).write_text(value)
    if ns:
        with namespace(ns):
            write()
    else:
        write()


def write(path, text):
    Path(path).write_text(text)


def driver_of(pci):
    """The driver that has it; None while it goes from one to another."""
    try:
        return Path(f"/sys/bus/pci/devices/{pci}/driver").readlink().name
    except FileNotFoundError:
        return None


def bind(pci, driver):
    """Gives a NIC to another driver of the kernel, whoever has it."""
    if driver_of(pci) == driver:
        return
    device = Path(f"/sys/bus/pci/devices/{pci}")
    write(device / "driver_override", driver)
    if driver_of(pci):
        write(device / "driver" / "unbind", pci)
    write("/sys/bus/pci/drivers_probe", pci)
    assert driver_of(pci) == driver, f"{pci} is with {driver_of(pci)}, not {driver}"


def interface_of(pci):
    """Name of the kernel's interface of a virtio NIC."""
    def name():
        found = list(Path(f"/sys/bus/pci/devices/{pci}").glob("virtio*/net/*"))
        return found[0].name if found else None
    return wait_for(f"the kernel has an interface for {pci}", name)
