"""Processes under test: free ports, readiness, CPU time and memory of a process tree (Linux, /proc)."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from aaa.radius.packet import ACCESS_ACCEPT
from benchmarks import packets


def free_port() -> int:
    """A UDP port of 127.0.0.1 that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    command: Sequence[str], log: Path, user: str | None = None, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process whose output goes to `log`, and which the kernel ends should we die. `user`: run as that user."""
    prefix = ["setpriv", "--pdeathsig", "INT", *as_user(user)]
    with log.open("ab") as output:
        return subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)


def as_user(user: str | None) -> list[str]:
    """The options of setpriv that become `user`, none if we are no root or no user is named."""
    if user is None or os.getuid() != 0:
        return []
    return ["--reuid", user, "--regid", user, "--init-groups"]


def stop(process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """End a process politely (SIGINT: PostgreSQL's fast shutdown), and for certain after `seconds`."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_answering(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> float:
    """Send Status-Server to 127.0.0.1:`port` until it is answered; the seconds it took.

    Raises RuntimeError with the end of `log` when the process ends first or the time is up.
    """
    return _ask(port, packets.status_server, process.pid, log, seconds)


def wait_accept(port: int, user: int, pid: int, log: Path, seconds: float) -> float:
    """Log subscriber `user` in, each time with a new request, until it is accepted; the seconds it took.

    Raises RuntimeError with the end of `log` when process `pid` ends first or the time is up.
    """
    return _ask(port, partial(packets.login, user), pid, log, seconds)


def _ask(port: int, request: Callable[[], bytes], pid: int, log: Path, seconds: float) -> float:
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(0.1)
        while (waited := time.monotonic() - began) < seconds and _alive(pid):
            try:
                client.send(request())
                if client.recv(4096)[0] == ACCESS_ACCEPT:
                    return time.monotonic() - began
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                pass
            time.sleep(0.02)
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"port {port} does not accept after {waited:.1f} s; {log} ends with:\n{tail}")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue  # ended while we looked
    return found


def cpu_seconds(pid: int) -> float:
    """User and system CPU time of a process tree, with that of its children that have ended."""
    ticks = 0
    for member in tree(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_seconds() -> tuple[float, float]:
    """CPU seconds since boot of all processors together: at work (or stolen by the host), and in all."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    total = sum(fields)
    return (total - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK"), total / os.sysconf("SC_CLK_TCK")


def pss_bytes(pids: Sequence[int]) -> int:
    """Proportional set size of the processes together: pages shared among them count once."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
