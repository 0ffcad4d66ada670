"""The parent of the roles: starts them, restarts one that dies, and ends them with itself.

Children are spawned as fresh interpreters: nothing open here is theirs, and the kernel ends them should this process be
killed.
"""

import ctypes
import errno
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Final

from aaa import clock
from ledgate import config
from ledgate.config import Settings
from ledgate.role import ROLES, processes, ready_file

_log: Final = logging.getLogger(__name__)

_SETTLED: Final = 10.0  # seconds after which a process counts as having worked
_FIRST_PAUSE: Final = 0.5  # seconds before the second restart in a row; then doubled
_LONGEST_PAUSE: Final = 30.0
_TRIES: Final = 3  # a process that never became ready, before any was ready: then we give up
_LOOK_EVERY: Final = 0.05  # seconds, until all are ready
_PATIENCE: Final = 10.0  # seconds that a child has to end in good order
_PORT_PATIENCE: Final = 3.0  # seconds for an earlier run's children to vanish
_BAD_SETTING: Final = 2
_PR_SET_PDEATHSIG: Final = 1

Command = Callable[[str, int], Sequence[str]]


def run(settings: Settings, roles: Sequence[str] = ROLES, command: Command | None = None) -> int:
    """Run these roles until SIGTERM or SIGINT; the exit status: 0, or 1 if a role could not be started.

    Prints one line on standard output when all serve. `command` gives the command line of a role's process.
    """
    for note in settings.notes:
        _log.warning("%s", note)
    _require_ports(settings, roles)
    return _Supervisor(settings, roles, command or _command).run()


class PortTaken(OSError):
    """A UDP port that another program serves on; the message names it."""


def _command(role: str, index: int) -> Sequence[str]:
    return (sys.executable, "-m", "ledgate.role", role, str(index))


class _Child:
    """One process of a role, through all its restarts."""

    def __init__(self, settings: Settings, role: str, index: int, command: Sequence[str]) -> None:
        self.name = f"{role}-{index}"
        self.process: subprocess.Popen[bytes] | None = None
        self.descriptor = -1
        self.start_at = 0.0
        self.deaths = 0
        self.was_ready = False
        self._started_at = 0.0
        self._command = command
        self._ready_file = ready_file(settings, role, index)

    def start(self, environment: dict[str, str], moment: float) -> None:
        self._ready_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self._command,
            env=environment,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C at the terminal is ours to pass on
            preexec_fn=partial(_die_with, os.getpid()),
        )
        self.descriptor = os.pidfd_open(self.process.pid)
        self._started_at = moment

    def look(self) -> bool:
        """Whether the process that runs now serves."""
        if self.process is None:
            return False
        with suppress(OSError, ValueError):
            if int(self._ready_file.read_text()) == self.process.pid:
                self.was_ready = True
                return True
        return False

    def bury(self, moment: float) -> int:
        """The exit status of a process that has ended; says when the next may start."""
        assert self.process is not None
        status = self.process.wait()
        os.close(self.descriptor)
        self.process = None
        self.deaths = 1 if moment - self._started_at > _SETTLED else self.deaths + 1
        # The first restart is at once: those who wait for an answer are many, and most deaths are single.
        pause = 0.0 if self.deaths == 1 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self.deaths - 2))
        self.start_at = moment + pause
        return status

    def signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)


class _Supervisor:
    def __init__(self, settings: Settings, roles: Sequence[str], command: Command) -> None:
        self._settings = settings
        self._roles = [role for role in ROLES if role in roles]
        self._environment = {**os.environ, **config.environment(settings)}
        self._children = [
            _Child(settings, role, index, command(role, index))
            for role in self._roles
            for index in range(processes(settings, role))
        ]
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._announced = False

    def run(self) -> int:
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        self._selector.register(woken, selectors.EVENT_READ, None)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the roles' own signal
        before = signal.set_wakeup_fd(wake.fileno())
        handlers = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            return self._watch(woken)
        finally:
            self._end_all()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            self._selector.close()
            wake.close()
            woken.close()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop.set()

    def _watch(self, woken: socket.socket) -> int:
        while not self._stop.is_set():
            moment = clock.monotonic()
            for child in self._children:
                if child.process is None and child.start_at <= moment:
                    child.start(self._environment, moment)
                    self._selector.register(child.descriptor, selectors.EVENT_READ, child)
            if not self._announced:
                self._announce()
            for key, _events in self._selector.select(self._timeout(moment)):
                if key.data is None:
                    with suppress(BlockingIOError):
                        woken.recv(4096)
                elif not self._stop.is_set() and not self._take_note(key.data):
                    return 1
        return 0

    def _timeout(self, moment: float) -> float | None:
        pauses = [max(0.0, child.start_at - moment) for child in self._children if child.process is None]
        if not self._announced:
            pauses.append(_LOOK_EVERY)
        return min(pauses, default=None)

    def _take_note(self, child: _Child) -> bool:
        """A child has ended. False: it cannot be started at all."""
        child.look()
        self._selector.unregister(child.descriptor)
        moment = clock.monotonic()
        status = child.bury(moment)
        how = f"signal={signal.Signals(-status).name}" if status < 0 else f"status={status}"
        _log.warning("%s ended %s restarts_in=%.1fs", child.name, how, child.start_at - moment)
        if self._announced or child.was_ready:
            return True
        if status == _BAD_SETTING or child.deaths >= _TRIES:
            _log.error("%s cannot be started: giving up", child.name)
            return False
        return True

    def _announce(self) -> None:
        if not all(child.look() for child in self._children):
            return
        self._announced = True
        told = []
        if "auth" in self._roles:
            told.append(f"authentication on UDP port {self._settings.auth_port}")
        if "acct" in self._roles:
            told.append(f"accounting on UDP port {self._settings.acct_port}")
        if told:
            told.append(f"addresses {', '.join(self._settings.listen)}")
        told.extend(f"{processes(self._settings, role)} {role}" for role in self._roles)
        print(f"ledgate is ready: {', '.join(told)}", flush=True)

    def _end_all(self) -> None:
        for child in self._children:
            child.signal(signal.SIGTERM)
        deadline = clock.monotonic() + _PATIENCE
        for child in self._children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - clock.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("%s does not end: killed", child.name)
                child.process.kill()
                child.process.wait()
            os.close(child.descriptor)


def _die_with(parent: int) -> None:
    """In a child, before it becomes its own program: have the kernel kill it when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it ended before we could ask


_libc: Final = ctypes.CDLL(None)


def _require_ports(settings: Settings, roles: Sequence[str]) -> None:
    """Raise PortTaken if anybody serves where we would: sharing a port is for our own processes alone."""
    ports = {"auth": settings.auth_port, "acct": settings.acct_port}
    deadline = clock.monotonic() + _PORT_PATIENCE
    for role in roles:
        for address in settings.listen if role in ports else ():
            while not _is_free(address, ports[role]):
                if clock.monotonic() >= deadline:
                    raise PortTaken(errno.EADDRINUSE, f"UDP port {ports[role]} of {address} is in use already")
                time.sleep(_LOOK_EVERY)


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise OSError(error.errno, f"UDP port {port} of {address}: {error.strerror}") from None
    return True
