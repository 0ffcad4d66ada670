"""The UDP sockets of a role's process, and what is said of the packets it drops (shell)."""

import logging
from select import EPOLLIN, epoll
from typing import Final

from aaa.radius import sockets
from aaa.radius.counters import FILE_INTERVAL, Counters
from aaa.radius.datagrams import Datagrams

_TOLD_EVERY: Final = 10.0  # seconds between log lines of one kind about one address
_TOLD: Final = 50  # lines in that time


class Ports:
    """Bound sockets, waited for together."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._bound: dict[int, Datagrams] = {}
        self._poll = epoll()
        self._lost: dict[int, int] = {}
        self._lost_at = 0.0

    def bind(self, address: str, port: int, index: int, processes: int) -> None:
        """Serve on one more address. Raises OSError, which names it."""
        bound = sockets.bind(address, port, index, processes)
        self._bound[bound.fileno()] = Datagrams(bound, wildcard=sockets.is_wildcard(address))
        self._poll.register(bound.fileno(), EPOLLIN)

    def wait(self, seconds: float) -> list[Datagrams]:
        """The sockets that have something to receive, at the latest after so many seconds."""
        return [self._bound[descriptor] for descriptor, _event in self._poll.poll(seconds)]

    def receive(self, datagrams: Datagrams) -> int:
        """Take a batch; 0 if there is none left."""
        try:
            return datagrams.receive()
        except OSError:
            # An ICMP error to an earlier reply is reported here; it takes no packet away.
            self._counters.add("receive-failed")
            return 0

    def flush(self, datagrams: Datagrams) -> None:
        """Send the replies to a batch."""
        failed = datagrams.flush()
        if failed:
            self._counters.add("send-failed", failed)

    def tidy(self, moment: float) -> None:
        """Count what the kernel has dropped; `moment` is monotonic seconds."""
        if moment < self._lost_at:
            return
        self._lost_at = moment + FILE_INTERVAL
        for descriptor, datagrams in self._bound.items():
            lost = sockets.lost(datagrams.socket)
            if lost != self._lost.get(descriptor, 0):
                self._counters.add("kernel-drop", lost - self._lost.get(descriptor, 0))
                self._lost[descriptor] = lost

    def close(self) -> None:
        """Let go of the sockets."""
        for datagrams in self._bound.values():
            datagrams.socket.close()
        self._poll.close()


class Complaints:
    """Log lines about packets that are no use: who floods us must not flood the log."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: set[tuple[str, str]] = set()
        self._told_until = 0.0

    def dropped(self, cause: str, host: str, nas: str, moment: float) -> None:
        """A packet was dropped. One that is being worked on is no news."""
        if cause != "in-progress" and self._may_tell(cause, host, moment):
            self._log.warning("dropped cause=%s from=%s nas=%s", cause, host, nas)

    def failed(self, host: str, fault: Exception, moment: float) -> None:
        """A packet met a fault of ours."""
        if self._may_tell("error", host, moment):
            self._log.error("request from=%s failed", host, exc_info=fault)

    def _may_tell(self, cause: str, host: str, moment: float) -> bool:
        if moment >= self._told_until:
            self._told_until = moment + _TOLD_EVERY
            self._told.clear()
        if (cause, host) in self._told or len(self._told) >= _TOLD:
            return False
        self._told.add((cause, host))
        return True
